import type { SweepConfiguration } from "../sweep/configuration.ts";
import type { Training } from "../sweep/trainings.ts";
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

/** Attention by its positions, state-space models, linear RNNs, a hybrid. */
const VARIANTS: readonly Variant[] = [
  ["rope", "transformer"],
  ["nope", "transformer", { changes: ["nope"] }],
  ["alibi", "transformer", { changes: ["alibi"] }],
  ["mamba1", "mamba1"],
  ["mamba2", "mamba2"],
  ["gla", "gla"],
  ["gated-deltanet", "gated-deltanet"],
  ["rwkv7", "rwkv7"],
  ["griffin", "griffin"],
  ["hybrid", "mamba2-attention"],
];

function trainings(
  variants: readonly Variant[],
  widthOf: (family: string) => number,
  learningRates: readonly number[],
  setting: Setting,
): Training[] {
  return variants.map(([name, family, options]) => ({
    recipe: {
      ...setting,
      name: `induction-${name}`,
      model: variantModel(
        family,
        { vocabulary: 16, width: widthOf(family), ...options },
        setting.length,
      ),
    },
    learningRates,
    seeds: TRAINING_SEEDS,
  }));
}

/** How long attention is asked: its cost is quadratic. */
function longest(tokens: number): Readonly<Record<string, number>> {
  return { "transformer": tokens, "mamba2-attention": tokens };
}

/**
 * Induction heads as Mamba publishes them (Gu & Dao 2023, section 4.1.2, table 2 and appendix E.1):
 * vocabulary 16, two layers, trained at 256, asked from 64 to 1,048,576; batches of 8, the better of
 * two learning rates, the state-space models half as wide as attention. Recurrent models read the
 * longest by streaming; attention is asked up to 65,536. What is ours: AdamW's settings, a rate that
 * cools down, three seeds.
 */
export const INDUCTION_PUBLISHED: SweepConfiguration = {
  ...NO_AXES,
  name: "induction-published",
  scale: "published",
  trainings: trainings(
    VARIANTS,
    (family) => family === "transformer" ? 128 : 64,
    [2e-4, 1e-3],
    {
      tasks: [{ name: "induction", options: { vocabulary: 16 } }],
      length: 256,
      points: [{ length: 256 }],
      batch: 8,
      learningRate: 1e-3,
      warmupSteps: 500,
      firstTaskSteps: 0,
      targetAccuracy: 1,
      steps: 25 * 8192,
      seed: 1,
    },
  ),
  tasks: ["induction"],
  lengths: Array.from({ length: 15 }, (_, i) => 64 * 2 ** i),
  longest: longest(2 ** 16),
  seeds: [0, 1, 2],
  samples: 32,
};

/**
 * The same trained at 32 and asked up to 8,192 (attention up to 2,048), of six variants with one rate
 * each: for a machine without a GPU.
 */
export const INDUCTION_SMALL: SweepConfiguration = {
  ...NO_AXES,
  name: "induction-small",
  scale: "small",
  trainings: trainings(
    VARIANTS.filter(([name]) =>
      ["rope", "nope", "alibi", "mamba2", "gla", "hybrid"].includes(name)
    ),
    () => 32,
    [5e-3],
    {
      tasks: [{ name: "induction", options: { vocabulary: 16 } }],
      length: 32,
      points: [{ length: 16 }, { length: 32 }],
      batch: 64,
      learningRate: 5e-3,
      warmupSteps: 20,
      firstTaskSteps: 0,
      targetAccuracy: 0.99,
      steps: 400,
      seed: 1,
    },
  ),
  tasks: ["induction"],
  lengths: [16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192],
  longest: longest(2048),
  seeds: [0, 1, 2],
  samples: 8,
};
