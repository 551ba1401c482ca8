import { variantModel } from "../experiment.ts";
import { type Finding, protocol } from "./finding.ts";

const LENGTH = 32;
const MODEL = variantModel("mamba2", { vocabulary: 16, width: 32 }, LENGTH);

/** What a recurrence gains by meeting states that long sequences lead to. */
export const STATE_PASSING: Finding = {
  ...protocol({
    name: "finding-6",
    variants: [
      { name: "plain", model: MODEL, learningRate: 2e-3 },
      { name: "passing", model: MODEL, learningRate: 2e-3, training: { statePassing: 0.5 } },
    ],
    setting: {
      tasks: [{ name: "induction", options: { vocabulary: 16 } }],
      length: LENGTH,
      points: [{ length: LENGTH }],
      batch: 64,
      steps: 800,
    },
    tuningShare: 1,
    grid: { tasks: ["induction"], lengths: [32, 64, 128, 256, 512, 1024], samples: 30 },
  }),
  claim: "State passing extends a recurrence at the cost of no more tokens.",
  source: "Ruiz & Gu 2025, section 4",
  picture: "accuracy-induction",
  check: (evidence) => [
    evidence.learned(["plain", "passing"]),
    evidence.exceeds("passing", "plain", { length: 8 * LENGTH }),
    evidence.exceeds("passing", "plain", { length: 32 * LENGTH }),
  ],
};
