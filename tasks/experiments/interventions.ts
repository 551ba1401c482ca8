import { smallLayout } from "../registry.ts";
import type { SweepConfiguration } from "../sweep/configuration.ts";
import type { Training } from "../sweep/trainings.ts";
import type { RecipeTask, TrainingPoint } from "../training/recipe.ts";
import {
  NO_AXES,
  type Setting,
  TRAINING_SEEDS,
  variantModel,
  type VariantOptions,
} from "./experiment.ts";

/** One intervention: what is different from the plain model. */
interface Arm extends Omit<VariantOptions, "vocabulary" | "width"> {
  readonly name: string;
  readonly family: string;
  /** What is different in training. */
  readonly training?: Partial<Pick<Setting, "points" | "segments" | "statePassing" | "length">>;
  /** What is changed once it is trained. */
  readonly interventions?: readonly string[];
}

/** What an experiment's size decides. */
interface Size {
  /** The training length. */
  readonly length: number;
  readonly vocabulary: number;
  readonly width: number;
  /** How far a window sees: less than the training length. */
  readonly window: number;
  /** State sizes. */
  readonly states: readonly number[];
  /** Layers of a hybrid, by the layers of them that are attention. */
  readonly hybrids: Readonly<
    Record<string, readonly [layers: number, attention: readonly number[]]>
  >;
}

function armsOf({ length, window, states, hybrids }: Size): Arm[] {
  const mixture: readonly TrainingPoint[] = [
    { length: length / 4 },
    { length: length / 2 },
    { length },
    { length: 2 * length },
  ];
  const fixed: readonly TrainingPoint[] = [{ length }];
  return [
    // Positions: trained with each; scaled once trained, as people do to read further.
    {
      name: "rope",
      family: "transformer",
      interventions: ["linear4", "ntk4", "yarn4", `window${window}`, `window${window}+sinks4`],
    },
    { name: "nope", family: "transformer", changes: ["nope"] },
    { name: "alibi", family: "transformer", changes: ["alibi"] },
    // Windows and sinks, trained with.
    { name: "window", family: "transformer", changes: [`window${window}`] },
    { name: "window-sinks", family: "transformer", changes: [`window${window}`, "sinks4"] },
    // The size of a state.
    ...states.map((stateDim): Arm => ({ name: `state${stateDim}`, family: "mamba2", stateDim })),
    // What the state begins with, and how far back the gradient goes.
    { name: "fixed-length", family: "mamba2", training: { points: fixed } },
    { name: "state-passing", family: "mamba2", training: { points: fixed, statePassing: 0.5 } },
    {
      name: "truncated",
      family: "mamba2",
      training: { points: [{ length: 4 * length }], length: 4 * length, segments: 4 },
    },
    // Lengths.
    {
      name: "rope-lengths",
      family: "transformer",
      training: { points: mixture, length: 2 * length },
    },
    { name: "mamba2-lengths", family: "mamba2", training: { points: mixture, length: 2 * length } },
    // How much of a hybrid is attention, and where.
    ...Object.entries(hybrids).map(([name, [layers, attentionLayers]]): Arm => ({
      name: `hybrid-${name}`,
      family: "mamba2-attention",
      layers,
      attentionLayers,
    })),
  ];
}

function trainings(size: Size, tasks: readonly RecipeTask[], setting: Setting): Training[] {
  const { vocabulary, width, length } = size;
  const tokens = meanLength({ length }) * setting.steps;
  return armsOf(size).map(({ name, family, training = {}, interventions, ...options }) => ({
    recipe: {
      ...setting,
      tasks,
      ...training,
      // Every arm reads as many tokens: of longer sequences in fewer steps.
      steps: Math.round(tokens / meanLength({ length, ...training })),
      name,
      model: variantModel(family, { vocabulary, width, ...options }, length),
    },
    seeds: TRAINING_SEEDS,
    ...(interventions === undefined ? {} : { interventions }),
  }));
}

/** Tokens of a training sequence in the mean; without points every other batch is half as long. */
function meanLength({ length, points }: Pick<Setting, "length" | "points">): number {
  if (points === undefined) return 0.75 * length;
  const weights = points.reduce((sum, { weight = 1 }) => sum + weight, 0);
  return points.reduce((sum, { length, weight = 1 }) => sum + weight * length, 0) / weights;
}

/**
 * Each intervention against the plain model, on the four synthetic tasks in one vocabulary: positions,
 * windows and sinks, trained with and put in afterwards; the size of a state; state passing and
 * truncated back-propagation (Ruiz & Gu 2025); mixtures of training lengths; how much of a hybrid is
 * attention, and where. Trained at 256 on as many tokens each, asked up to 32 times that.
 */
export const INTERVENTIONS: SweepConfiguration = {
  ...NO_AXES,
  name: "interventions",
  scale: "published",
  trainings: trainings(
    {
      length: 256,
      vocabulary: 64,
      width: 64,
      window: 64,
      states: [8, 16, 32, 64, 128],
      hybrids: {
        "first": [4, [0]],
        "middle": [4, [2]],
        "last": [4, [3]],
        "half": [4, [1, 3]],
        "eighth": [8, [4]],
      },
    },
    (["mqar", "induction", "selective-copying", "passkey"] as const).map((name) => ({
      name,
      options: smallLayout(name, true),
    })),
    {
      tasks: [],
      length: 256,
      batch: 64,
      learningRate: 3e-3,
      warmupSteps: 100,
      firstTaskSteps: 350,
      targetAccuracy: 1,
      steps: 12_000,
      seed: 1,
    },
  ),
  tasks: [],
  lengths: [64, 128, 256, 512, 1024, 2048, 4096, 8192],
  seeds: [0, 1, 2],
  samples: 64,
};

/**
 * The same on induction heads alone, trained at 32 and asked up to 512, for a machine without a GPU.
 */
export const INTERVENTIONS_SMALL: SweepConfiguration = {
  ...NO_AXES,
  name: "interventions-small",
  scale: "small",
  trainings: trainings(
    {
      length: 32,
      vocabulary: 16,
      width: 32,
      window: 16,
      states: [4, 32],
      hybrids: { "first": [2, [0]], "last": [2, [1]], "middle": [3, [1]] },
    },
    [{ name: "induction", options: { vocabulary: 16 } }],
    {
      tasks: [],
      length: 32,
      batch: 64,
      learningRate: 5e-3,
      warmupSteps: 20,
      firstTaskSteps: 0,
      targetAccuracy: 1,
      steps: 400,
      seed: 1,
    },
  ),
  tasks: ["induction"],
  lengths: [16, 32, 64, 128, 256, 512],
  seeds: [0, 1, 2],
  samples: 16,
};
