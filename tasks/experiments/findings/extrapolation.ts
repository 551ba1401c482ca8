import { variantModel } from "../experiment.ts";
import { type Finding, type FindingVariant, protocol } from "./finding.ts";

const LENGTH = 32;
const STEPS = 600;
const SIZE = { vocabulary: 16, width: 32 } as const;

/** Three of like size, then what might make Mamba hold further. */
const VARIANTS: readonly FindingVariant[] = [
  { name: "rope", model: variantModel("transformer", SIZE, LENGTH), learningRate: 2e-3 },
  { name: "mamba1", model: variantModel("mamba1", SIZE, LENGTH), learningRate: 2e-3 },
  {
    name: "mamba2",
    model: variantModel("mamba2", { ...SIZE, stateDim: 48 }, LENGTH),
    learningRate: 2e-3,
  },
  {
    name: "mamba1-small-state",
    model: variantModel("mamba1", { ...SIZE, stateDim: 4 }, LENGTH),
    learningRate: 2e-3,
  },
  {
    name: "mamba1-longer",
    model: variantModel("mamba1", SIZE, LENGTH),
    learningRate: 5e-3,
    training: {
      length: 4 * LENGTH,
      points: [{ length: 2 * LENGTH }, { length: 4 * LENGTH }],
      steps: 3 * STEPS / 4, // as many tokens as with more steps
    },
  },
  {
    name: "mamba1-more-steps",
    model: variantModel("mamba1", SIZE, LENGTH),
    learningRate: 2e-3,
    training: { steps: 3 * STEPS },
  },
];

/** Mamba on induction heads, as far as it goes. */
export const EXTRAPOLATION: Finding = {
  ...protocol({
    name: "finding-2",
    variants: VARIANTS,
    setting: {
      tasks: [{ name: "induction", options: { vocabulary: 16 } }],
      length: LENGTH,
      points: [{ length: 16 }, { length: LENGTH }],
      batch: 64,
      steps: STEPS,
    },
    trainings: 3,
    tuningShare: 2 / 3,
    grid: {
      tasks: ["induction"],
      lengths: [32, 128, 512, 2048, 8192, 32768],
      longest: { transformer: 2048 },
      samples: 7,
    },
  }),
  claim: "Mamba holds induction heads far beyond its training length: 1,000 times it and more.",
  source: "Gu & Dao 2023 (Mamba), table 2",
  picture: "accuracy-induction",
  check: (evidence) => [
    evidence.learned(["rope", "mamba1", "mamba2"]),
    evidence.exceeds("mamba1", "rope", { length: 16 * LENGTH }),
    evidence.atLeast("mamba1", 0.95, { length: 1024 * LENGTH }),
  ],
  besides: (evidence) => [
    evidence.exceeds("mamba1-longer", "mamba1-more-steps", { length: 64 * LENGTH }),
    evidence.exceeds("mamba1-more-steps", "mamba1", { length: 64 * LENGTH }),
    evidence.exceeds("mamba1", "mamba1-small-state", { length: 64 * LENGTH }),
  ],
};
