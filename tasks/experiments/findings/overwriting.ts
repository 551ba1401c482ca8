import { parameterCount } from "../../../models/layers.ts";
import { matched } from "../../training/equal_parameters.ts";
import { variantModel } from "../experiment.ts";
import { type Finding, protocol } from "./finding.ts";

const LENGTH = 64;
const OPTIONS = { vocabulary: 64, writes: 2 } as const;
const MAMBA2 = variantModel("mamba2", { vocabulary: 64, width: 32, stateDim: 8 }, LENGTH);

/** Keys that are written twice, of which the last value counts. */
export const OVERWRITING: Finding = {
  ...protocol({
    name: "finding-8",
    variants: [
      { name: "mamba2", model: MAMBA2, learningRate: 1e-2 },
      ...(["gla", "gated-deltanet"] as const).map((family) => ({
        name: family,
        model: matched(
          variantModel(family, { vocabulary: 64, width: 32, stateDim: 16 }, LENGTH),
          parameterCount(MAMBA2),
        ),
        learningRate: family === "gla" ? 1e-2 : 5e-3,
      })),
    ],
    setting: {
      tasks: [{ name: "mqar", options: OPTIONS }],
      length: LENGTH,
      points: [{ length: 16, load: 2 }, { length: 32, load: 4 }, { length: LENGTH, load: 8 }],
      batch: 32,
      steps: 1200,
    },
    grid: {
      tasks: ["mqar"],
      lengths: [],
      points: [2, 4, 8, 10].map((load) => ({ length: LENGTH, load })),
      samples: 20,
    },
  }),
  claim:
    "In a state of the same size, the delta rule keeps more of keys that are overwritten than decay alone does.",
  source: "Yang et al. 2024 (DeltaNet), section 4.1; Yang et al. 2025 (Gated DeltaNet), table 1",
  picture: "load-mqar-64",
  check: (evidence) => [
    evidence.learned(["gated-deltanet"], 4),
    evidence.exceeds("gated-deltanet", "gla", { length: LENGTH, load: 8 }),
    evidence.exceeds("gated-deltanet", "mamba2", { length: LENGTH, load: 8 }),
  ],
};
