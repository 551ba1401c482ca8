import { smallLayout } from "../../registry.ts";
import { matched } from "../../training/equal_parameters.ts";
import { variantModel } from "../experiment.ts";
import { type Finding, protocol } from "./finding.ts";

const LENGTH = 64;
const SIZE = { vocabulary: 64, width: 32 } as const;
const PARAMETERS = 28_000;

/** Copying by the size of a state. */
export const COPYING: Finding = {
  ...protocol({
    name: "finding-7",
    variants: [
      {
        name: "attention",
        model: matched(
          variantModel("transformer", { ...SIZE, changes: ["alibi"] }, LENGTH),
          PARAMETERS,
        ),
        learningRate: 1e-2,
      },
      ...[4, 8, 32].map((stateDim) => ({
        name: `gla-${stateDim}`,
        model: matched(variantModel("gla", { ...SIZE, stateDim }, LENGTH), PARAMETERS),
        learningRate: stateDim === 4 ? 2e-3 : 5e-3,
      })),
    ],
    setting: {
      tasks: [{ name: "copying", options: smallLayout("copying") }],
      length: LENGTH,
      points: [{ length: 16 }, { length: 32 }, { length: LENGTH }],
      batch: 32,
      steps: 1200,
    },
    trainings: 3,
    grid: { tasks: ["copying"], lengths: [8, 16, 32, 64, 128, 256], samples: 20 },
  }),
  claim: "Recurrences stop copying at a length that their state sets; attention copies.",
  source: "Jelassi et al. 2024 (Repeat after me), sections 3 and 4",
  picture: "accuracy-copying",
  check: (evidence) => [
    evidence.atLeast("attention", 0.95, { length: LENGTH }),
    evidence.exceeds("attention", "gla-4", { length: LENGTH }),
    evidence.exceeds("attention", "gla-32", { length: 4 * LENGTH }),
    evidence.exceeds("gla-32", "gla-4", { length: LENGTH }),
    evidence.exceeds("gla-4", "gla-4", { length: 16 }, { length: LENGTH }),
  ],
};
