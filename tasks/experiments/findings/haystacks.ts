import { smallLayout } from "../../registry.ts";
import { variantModel } from "../experiment.ts";
import { type Finding, protocol } from "./finding.ts";

const LENGTH = 64;
const KINDS = ["noise", "essay", "needles"] as const;
const MODEL = variantModel("mamba2-attention", { vocabulary: 64, width: 32 }, LENGTH);

function taskOf(kind: typeof KINDS[number]): `niah-${typeof KINDS[number]}` {
  return `niah-${kind}`;
}

/** Needles in three haystacks, each held out once. */
export const HAYSTACKS: Finding = {
  ...protocol({
    name: "finding-10",
    variants: KINDS.map((heldOut) => ({
      name: `without-${heldOut}`,
      model: MODEL,
      learningRate: 2e-3,
      training: {
        tasks: KINDS.filter((kind) => kind !== heldOut)
          .map((kind) => ({ name: taskOf(kind), options: smallLayout(taskOf(kind)) })),
      },
    })),
    setting: { tasks: [], length: LENGTH, batch: 32, steps: 1200 },
    trainings: 3,
    grid: {
      tasks: KINDS.map(taskOf),
      lengths: [64, 128, 256, 512],
      samples: 20,
      unlearned: true,
      taskOptions: Object.fromEntries(
        KINDS.map((kind) => [taskOf(kind), { ...smallLayout(taskOf(kind)) }]),
      ),
    },
  }),
  claim:
    "What a haystack is made of decides how far a needle is found: what a model learned in noise it does not find in text, and the other way round.",
  source: "Huang 2025, table 4",
  picture: "accuracy-niah-noise",
  check: (evidence) => [
    evidence.atMost("without-essay", 0.5, { length: LENGTH, task: "niah-essay" }),
    evidence.atMost("without-noise", 0.5, { length: LENGTH, task: "niah-noise" }),
    evidence.exceeds(
      "without-essay",
      "without-essay",
      { length: LENGTH, task: "niah-noise" },
      { length: LENGTH, task: "niah-essay" },
    ),
    evidence.exceeds(
      "without-noise",
      "without-noise",
      { length: LENGTH, task: "niah-essay" },
      { length: LENGTH, task: "niah-noise" },
    ),
    evidence.exceeds(
      "without-needles",
      "without-needles",
      { length: 4 * LENGTH, task: "niah-noise" },
      { length: 4 * LENGTH, task: "niah-essay" },
    ),
  ],
};
