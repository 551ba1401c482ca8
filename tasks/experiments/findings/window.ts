import { parameterCount } from "../../../models/layers.ts";
import { matched } from "../../training/equal_parameters.ts";
import { variantModel } from "../experiment.ts";
import { smallLayout } from "../../registry.ts";
import { type Finding, protocol } from "./finding.ts";

const LENGTH = 64;
const WINDOW = "window16";
const SIZE = { vocabulary: 64, width: 32, changes: [WINDOW] } as const;
const GRIFFIN = variantModel("griffin", SIZE, LENGTH);

/** Attention with a window, and a recurrence beside it, on passkeys. */
export const WINDOWS: Finding = {
  ...protocol({
    name: "finding-3",
    variants: [
      {
        name: "window",
        model: matched(variantModel("transformer", SIZE, LENGTH), parameterCount(GRIFFIN)),
        learningRate: 1e-2,
      },
      { name: "griffin", model: GRIFFIN, learningRate: 2e-3 },
    ],
    setting: {
      tasks: [{ name: "passkey", options: smallLayout("passkey") }],
      length: LENGTH,
      batch: 48,
      steps: 800,
    },
    grid: { tasks: ["passkey"], lengths: [64, 128, 256, 512], samples: 70 },
  }),
  claim:
    "Attention with a window recalls the share of needles that its window reaches, and no more; a recurrence beside it recalls further.",
  source: "Huang 2025, table 1 (RecurrentGemma's 52/25/10 at 2, 4 and 8 times its window)",
  picture: "accuracy-passkey",
  check: (evidence) => [
    ...[128, 256, 512].map((length) => evidence.follows("window", "stacked_law", 0.05, { length })),
    evidence.learned(["griffin"]),
    evidence.exceeds("griffin", "window", { length: 64 }),
    evidence.exceeds("griffin", "window", { length: 128 }),
  ],
};
