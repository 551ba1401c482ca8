import { variantModel } from "../experiment.ts";
import { type Finding, protocol } from "./finding.ts";

const LENGTH = 32;
const CHANCE = 1 / 15;

/** RoPE, no positions and ALiBi on induction heads. */
export const POSITIONS: Finding = {
  ...protocol({
    name: "finding-1",
    variants: ([["rope", [], 2e-3], ["nope", ["nope"], 5e-3], ["alibi", ["alibi"], 5e-3]] as const)
      .map(([name, changes, learningRate]) => ({
        name,
        model: variantModel("transformer", { vocabulary: 16, width: 32, changes }, LENGTH),
        learningRate,
      })),
    setting: {
      tasks: [{ name: "induction", options: { vocabulary: 16 } }],
      length: LENGTH,
      points: [{ length: 16 }, { length: LENGTH }],
      batch: 64,
      steps: 800,
    },
    tuningShare: 1,
    grid: { tasks: ["induction"], lengths: [16, 32, 64, 128, 256, 512], samples: 40 },
  }),
  claim:
    "Attention with RoPE falls towards chance by 4 times its training length; without positions, or with ALiBi, it falls later.",
  source:
    "Gu & Dao 2023 (Mamba), table 2; Press et al. 2022 (ALiBi); Kazemnejad et al. 2023 (NoPE)",
  picture: "accuracy-induction",
  check: (evidence) => [
    evidence.learned(["rope", "nope", "alibi"]),
    evidence.atMost("rope", (1 + CHANCE) / 2, { length: 4 * LENGTH }),
    evidence.exceeds("nope", "rope", { length: 4 * LENGTH }),
    evidence.exceeds("alibi", "rope", { length: 4 * LENGTH }),
  ],
};
