import type {
  ArchitectureOptions,
  LayerConfiguration,
  ModelConfiguration,
} from "../../models/mod.ts";
import type { SweepConfiguration, SweepPoint } from "../sweep/configuration.ts";
import type { Training } from "../sweep/trainings.ts";
import type { TrainingPoint } from "../training/recipe.ts";
import { matched } from "../training/equal_parameters.ts";
import { NO_AXES, type Setting, TRAINING_SEEDS, variantModel } from "./experiment.ts";

/** What is swept in an experiment of recall: who, how wide, with how large a state. */
interface Contender {
  readonly family: string;
  readonly widths: readonly number[];
  /** State sizes; the architecture's own where it has no choice. */
  readonly states?: readonly number[];
  /** Its model where it is not the named architecture as it is. */
  readonly model?: (options: ArchitectureOptions) => ModelConfiguration;
}

/** The published training mixture: 100,000 examples of the first, 20,000 of each other. */
const TRAINED: readonly TrainingPoint[] = [
  { length: 64, load: 4, weight: 5 },
  { length: 128, load: 8 },
  { length: 256, load: 16 },
  { length: 256, load: 32 },
  { length: 256, load: 64 },
];

/** The published test grid. */
const ASKED: readonly SweepPoint[] = [
  { length: 64, load: 4 },
  { length: 64, load: 8 },
  { length: 64, load: 16 },
  { length: 128, load: 32 },
  { length: 256, load: 64 },
  { length: 512, load: 128 },
  { length: 1024, load: 256 },
];

/** Examples of an epoch, epochs and batch, as published. */
const [EXAMPLES, EPOCHS, BATCH] = [180_000, 32, 256];

function trainings(
  contenders: readonly Contender[],
  vocabulary: number,
  learningRates: readonly number[],
  setting: Setting,
  perceptron: boolean,
): Training[] {
  return contenders.flatMap(({ family, widths, states = [undefined], model }) =>
    widths.flatMap((width) =>
      states.map((stateDim): Training => ({
        recipe: {
          ...setting,
          name: `mqar-${family}-d${width}${stateDim === undefined ? "" : `-n${stateDim}`}`,
          model: model?.({ vocabulary, width, stateDim }) ??
            variantModel(family, { vocabulary, width, stateDim, perceptron }, setting.length),
        },
        learningRates,
        seeds: TRAINING_SEEDS,
      }))
    )
  );
}

/** Two times a short convolution and attention of one head as wide as the model, without positions. */
function convolvedAttention({ vocabulary, width }: ArchitectureOptions): ModelConfiguration {
  const layers: LayerConfiguration[] = [
    { mixer: { kind: "short_convolution" } },
    { mixer: { kind: "attention", heads: 1, headDim: width } },
  ];
  return { family: "transformer", vocabulary, width, layers: [...layers, ...layers] };
}

/**
 * Multi-query associative recall as Zoology and Based publish it (Arora et al. 2023; 2024, figure 2; the
 * configurations of the repository HazyResearch/zoology): random tokens between pairs and queries, the
 * training mixture, the test grid, the widths, the state sizes and the learning rates; two mixers
 * without perceptrons, attention with one head of the model's width behind a short convolution.
 */
export const MQAR_PUBLISHED: SweepConfiguration = {
  ...NO_AXES,
  name: "mqar-published",
  scale: "published",
  source:
    "Arora et al. 2023 (Zoology) and 2024 (Based, figure 2); the configurations of HazyResearch/zoology",
  differences: [
    "Fresh examples in place of 180,000 that are read 32 times, in as many steps (22,500) without an early end.",
    "The convolution before attention is a layer of its own, gated, of 3 taps.",
    "AdamW's momenta of 0.9 and 0.98, gradients clipped at norm 1; a rate that is constant for three quarters and then falls linearly, where theirs follows a cosine; three trainings.",
  ],
  trainings: trainings(
    [
      { family: "transformer", widths: [64, 128], model: convolvedAttention },
      { family: "mamba1", widths: [64, 128, 256], states: [8, 16, 24] },
      { family: "mamba2", widths: [64, 128, 256], states: [8, 16, 24] },
      { family: "gla", widths: [64, 128, 256], states: [8, 16, 24] },
      { family: "gated-deltanet", widths: [64, 128, 256], states: [8, 16, 24] },
    ],
    8192,
    [1e-3, 3.16e-3, 1e-2, 3.16e-2],
    {
      tasks: [{ name: "mqar", options: { vocabulary: 8192, randomFill: true } }],
      length: 256,
      points: TRAINED,
      batch: BATCH,
      learningRate: 3.16e-3,
      warmupSteps: 500,
      firstTaskSteps: 0,
      targetAccuracy: 1,
      steps: EXAMPLES * EPOCHS / BATCH,
      seed: 1,
    },
    false,
  ),
  tasks: ["mqar"],
  lengths: [],
  points: ASKED,
  seeds: [0, 1, 2],
  samples: 1000,
};

/** An architecture with as many parameters as the others of the small experiment, within 5%. */
function small(family: string): (options: ArchitectureOptions) => ModelConfiguration {
  return (options) => matched(variantModel(family, options, SMALL_LENGTH), 19_000);
}

const SMALL_LENGTH = 32;

/**
 * The same in an eighth of the lengths, a vocabulary of 64, one width, three rates, four variants of
 * like size and few steps: for a machine without a GPU. From pair to pair the grid doubles as the published one does.
 */
export const MQAR_SMALL: SweepConfiguration = {
  ...NO_AXES,
  name: "mqar-small",
  scale: "small",
  trainings: trainings(
    [
      { family: "transformer", widths: [32], model: small("transformer") },
      { family: "mamba2", widths: [32], states: [4, 16], model: small("mamba2") },
      { family: "gla", widths: [32], states: [16], model: small("gla") },
    ],
    64,
    [2e-3, 5e-3, 1e-2],
    {
      tasks: [{ name: "mqar", options: { vocabulary: 64 } }],
      length: SMALL_LENGTH,
      points: [{ length: 16, load: 2, weight: 2 }, { length: 32, load: 4 }, {
        length: 32,
        load: 8,
      }],
      batch: 64,
      learningRate: 5e-3,
      warmupSteps: 20,
      firstTaskSteps: 0,
      targetAccuracy: 1,
      steps: 600,
      seed: 1,
    },
    true,
  ),
  tasks: ["mqar"],
  lengths: [],
  points: [
    { length: 16, load: 2 },
    { length: 16, load: 4 },
    { length: 32, load: 8 },
    { length: 64, load: 16 },
    { length: 128, load: 31 },
  ],
  seeds: [0, 1, 2],
  samples: 32,
};
