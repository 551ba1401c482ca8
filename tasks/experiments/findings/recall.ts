import type { TrainingPoint } from "../../training/recipe.ts";
import { matched } from "../../training/equal_parameters.ts";
import { variantModel } from "../experiment.ts";
import { type Finding, protocol } from "./finding.ts";

const LENGTH = 64;
const POINTS: readonly TrainingPoint[] = [
  { length: 16, load: 2 },
  { length: 32, load: 4 },
  { length: LENGTH, load: 8 },
  { length: LENGTH, load: 16 },
];
const SETTING = {
  tasks: [{ name: "mqar", options: { vocabulary: 64 } }],
  length: LENGTH,
  points: POINTS,
  batch: 32,
  steps: 1200,
} as const;
const GRID = {
  tasks: ["mqar"],
  lengths: [],
  points: [2, 4, 8, 16].map((load) => ({ length: LENGTH, load })),
  samples: 20,
};

/** Multi-query recall by the size of a state. */
export const STATE_SIZE: Finding = {
  ...protocol({
    name: "finding-4",
    variants: [4, 8, 16, 32].map((stateDim) => ({
      name: `gla-${stateDim}`,
      model: matched(
        variantModel("gla", { vocabulary: 64, width: 32, stateDim }, LENGTH),
        28_000,
      ),
      learningRate: stateDim < 16 ? 1e-2 : 5e-3,
    })),
    setting: SETTING,
    trainings: 3,
    grid: GRID,
  }),
  claim: "Recall needs a state that grows with the number of pairs.",
  source: "Arora et al. 2024 (Based), section 3; Arora et al. 2023 (Zoology), theorem 4.1",
  picture: "load-mqar-64",
  check: (evidence) => [
    evidence.learned(["gla-32"], 4),
    evidence.exceeds("gla-32", "gla-4", { length: LENGTH, load: 8 }),
    evidence.exceeds("gla-32", "gla-4", { length: LENGTH, load: 16 }),
    evidence.exceeds("gla-16", "gla-4", { length: LENGTH, load: 16 }),
    evidence.exceeds("gla-4", "gla-4", { length: LENGTH, load: 2 }, { length: LENGTH, load: 16 }),
  ],
};

/** Multi-query recall by the width of attention. */
export const WIDTHS: Finding = {
  ...protocol({
    name: "finding-5",
    variants: [16, 32, 64].map((width) => ({
      name: `attention-${width}`,
      model: variantModel("transformer", { vocabulary: 64, width }, LENGTH),
      learningRate: width === 64 ? 2e-3 : 5e-3,
    })),
    setting: SETTING,
    grid: GRID,
  }),
  claim: "Attention solves multi-query recall at any width.",
  source: "Arora et al. 2023 (Zoology), figure 2",
  picture: "load-mqar-64",
  check: (evidence) =>
    [16, 32, 64].flatMap((width) =>
      [4, 16].map((load) => evidence.atLeast(`attention-${width}`, 0.95, { length: LENGTH, load }))
    ),
};
