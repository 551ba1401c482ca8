import { mapMixers, type ModelConfiguration } from "../../../models/mod.ts";
import { smallLayout } from "../../registry.ts";
import { parameterCount } from "../../../models/layers.ts";
import { matched } from "../../training/equal_parameters.ts";
import { variantModel } from "../experiment.ts";
import { type Finding, type FindingVariant, protocol } from "./finding.ts";

const PARITY_LENGTH = 64;
const S5_LENGTH = 16;

/** DeltaNet whose eigenvalues reach from −1, with so many reflections per token. */
function negative(model: ModelConfiguration, steps: number): ModelConfiguration {
  return {
    ...model,
    layers: model.layers.map((layer) =>
      mapMixers(
        layer,
        (mixer) =>
          mixer.kind === "delta_net" ? { ...mixer, negativeEigenvalues: true, steps } : mixer,
      )
    ),
  };
}

const PARITY = { vocabulary: 64, width: 32 } as const;
const S5 = { vocabulary: 128, width: 32, layers: 1 } as const;
const DELTANET = variantModel("deltanet", S5, S5_LENGTH);
const FOUR = negative(DELTANET, 4);

const TRACKING: FindingVariant["training"] = {
  tasks: [{ name: "s5", options: { ...smallLayout("s5"), inputs: "generators" } }],
  length: S5_LENGTH,
  points: [{ length: 4 }, { length: 8 }, { length: S5_LENGTH }],
  batch: 64,
  steps: 2000,
};

/**
 * Parity and the word problem of S5, the latter with a swap and a cycle of five alone in its sequences:
 * with all 120 permutations models as small as these learn nothing in 1,200 steps.
 */
export const STATE_TRACKING: Finding = {
  ...protocol({
    name: "finding-9",
    variants: [
      {
        name: "parity-positive",
        model: variantModel("deltanet", PARITY, PARITY_LENGTH),
        learningRate: 1e-2,
      },
      {
        name: "parity-negative",
        model: negative(variantModel("deltanet", PARITY, PARITY_LENGTH), 1),
        learningRate: 2e-3,
      },
      {
        name: "s5-one-reflection",
        model: matched(negative(DELTANET, 1), parameterCount(FOUR)),
        learningRate: 1e-2,
        training: TRACKING,
      },
      { name: "s5-four-reflections", model: FOUR, learningRate: 1e-2, training: TRACKING },
    ],
    setting: {
      tasks: [{ name: "parity", options: smallLayout("parity") }],
      length: PARITY_LENGTH,
      points: [{ length: 16 }, { length: 32 }, { length: PARITY_LENGTH }],
      batch: 32,
      steps: 800,
    },
    trainings: 3,
    grid: { tasks: [], lengths: ["1x", "2x", "4x"], samples: 20 },
  }),
  claim:
    "Parity takes eigenvalues below zero; of the word problem of S5, here of two generators, one layer with four reflections per token learns more than with one.",
  source: "Grazzi et al. 2025, theorems 1 and 4; Siems et al. 2025 (DeltaProduct), figure 4",
  picture: "distance-parity",
  check: (evidence) => [
    evidence.atLeast("parity-negative", 0.95, { length: PARITY_LENGTH, distance: "32-63" }),
    evidence.atMost("parity-positive", 0.75, { length: PARITY_LENGTH, distance: "32-63" }),
    evidence.exceeds("s5-four-reflections", "s5-one-reflection", { length: S5_LENGTH }),
    evidence.atLeast("s5-four-reflections", 0.9, { length: S5_LENGTH }),
  ],
};
