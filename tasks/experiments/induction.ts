import type { SweepConfiguration } from "../sweep/configuration.ts";
import type { Training } from "../sweep/trainings.ts";
import { matched } from "../training/equal_parameters.ts";
import {
  NO_AXES,
  type Setting,
  TRAINING_SEEDS,
  variantModel,
  type VariantOptions,
} from "./experiment.ts";

/** A variant: its name, its architecture, its options but for vocabulary and width. */
type Variant = readonly [
  name: string,
  family: string,
  options?: Omit<VariantOptions, "vocabulary" | "width">,
];

/** What Mamba's table and what this experiment have in common: layers of mixers alone. */
const ROPE: Variant = ["rope", "transformer", { perceptron: false }];
const MAMBA: Variant = ["mamba1", "mamba1"];

/** What is asked beside them, at the same widths and without perceptrons. */
const BESIDE: readonly Variant[] = [
  ["nope", "transformer", { changes: ["nope"], perceptron: false }],
  ["alibi", "transformer", { changes: ["alibi"], perceptron: false }],
  ["mamba2", "mamba2"],
  ["gla", "gla", { perceptron: false }],
  ["gated-deltanet", "gated-deltanet", { perceptron: false }],
  ["hybrid", "mamba2-attention"],
];

/** Attention by its positions, a state-space model, a linear RNN, a hybrid. */
const SMALL: readonly Variant[] = [
  ["rope", "transformer"],
  ["nope", "transformer", { changes: ["nope"] }],
  ["alibi", "transformer", { changes: ["alibi"] }],
  ["mamba2", "mamba2", { stateDim: 48 }],
  ["gla", "gla"],
  ["hybrid", "mamba2-attention", { stateDim: 24 }],
];

/** The parameters of the small ones, none of which is more than 5% off. */
const SMALL_PARAMETERS = 21_700;

function trainings(
  variants: readonly Variant[],
  widthOf: (family: string) => number,
  learningRates: readonly number[],
  setting: Setting,
  parameters?: number,
): Training[] {
  return variants.map(([name, family, options]) => {
    const size = { vocabulary: 16, width: widthOf(family) };
    const model = variantModel(family, { ...size, ...options }, setting.length);
    return {
      recipe: {
        ...setting,
        name: `induction-${name}`,
        model: parameters === undefined ? model : matched(model, parameters),
      },
      learningRates,
      seeds: TRAINING_SEEDS,
    };
  });
}

/** How long attention is asked: its cost is quadratic. */
function longest(tokens: number): Readonly<Record<string, number>> {
  return { "transformer": tokens, "mamba2-attention": tokens };
}

/** Steps of Mamba's training: 25 epochs of 8,192; attention with rotary positions had 50. */
const STEPS = 25 * 8192;

function published(variants: readonly Variant[], steps: number): Training[] {
  return trainings(
    variants,
    (family) => family === "transformer" ? 128 : 64,
    [2e-4, 1e-3],
    {
      tasks: [{ name: "induction", options: { vocabulary: 16 } }],
      length: 256,
      points: [{ length: 256 }],
      batch: 8,
      learningRate: 1e-3,
      warmupSteps: 0,
      firstTaskSteps: 0,
      targetAccuracy: 1,
      steps,
      schedule: "constant",
      weightDecay: 0,
      seed: 1,
    },
  );
}

/**
 * Induction heads as Mamba publishes them (Gu & Dao 2023, section 4.1.2, table 2 and appendix E.1):
 * vocabulary 16, two layers of mixers alone, attention of width 128 with 8 heads (136K parameters),
 * Mamba of width 64 (68K); trained at 256 in batches of 8 at a constant rate without weight decay, the
 * better of 2e-4 and 1e-3, for 204,800 steps, attention with rotary positions for 409,600; asked from 64
 * to 1,048,576.
 */
export const INDUCTION_PUBLISHED: SweepConfiguration = {
  ...NO_AXES,
  name: "induction-published",
  scale: "published",
  source: "Gu & Dao 2023 (Mamba, arXiv 2312.00752), section 4.1.2, table 2 and appendix E.1",
  differences: [
    "AdamW's momenta of 0.9 and 0.98, gradients clipped at norm 1, three trainings.",
    "Absolute positions, xPos, H3 and Hyena are not here; not in the published table are NoPE, ALiBi, Mamba-2, GLA, gated DeltaNet and the hybrid.",
    "Attention is asked up to 65,536 tokens, where the table ends at 16,384.",
  ],
  trainings: [
    ...published([ROPE], 2 * STEPS),
    ...published([MAMBA, ...BESIDE], STEPS),
  ],
  tasks: ["induction"],
  lengths: Array.from({ length: 15 }, (_, i) => 64 * 2 ** i),
  longest: longest(2 ** 16),
  seeds: [0, 1, 2],
  samples: 32,
};

/**
 * The same trained at 32 and asked up to 8,192 (attention up to 2,048), of six variants of like size, the
 * best of three rates each: for a machine without a GPU.
 */
export const INDUCTION_SMALL: SweepConfiguration = {
  ...NO_AXES,
  name: "induction-small",
  scale: "small",
  trainings: trainings(
    SMALL,
    () => 32,
    [2e-3, 5e-3, 1e-2],
    {
      tasks: [{ name: "induction", options: { vocabulary: 16 } }],
      length: 32,
      points: [{ length: 16 }, { length: 32 }],
      batch: 64,
      learningRate: 5e-3,
      warmupSteps: 20,
      firstTaskSteps: 0,
      targetAccuracy: 1,
      steps: 400,
      seed: 1,
    },
    SMALL_PARAMETERS,
  ),
  tasks: ["induction"],
  lengths: [16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192],
  longest: longest(2048),
  seeds: [0, 1, 2],
  samples: 8,
};
