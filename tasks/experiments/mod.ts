/**
 * The sweeps that have a name.
 *
 * @module
 */
import { SWEEP_DEFAULTS, type SweepConfiguration, type TaskGrid } from "../sweep/configuration.ts";
import { FINDING_SWEEPS } from "./findings/mod.ts";
import { MATCHED_SWEEPS } from "./matched.ts";
import { INDUCTION_PUBLISHED, INDUCTION_SMALL } from "./induction.ts";
import { INTERVENTIONS, INTERVENTIONS_SMALL } from "./interventions.ts";
import { MQAR_PUBLISHED, MQAR_SMALL } from "./mqar.ts";
import { PAPER_SWEEPS } from "./paper.ts";

const LENGTHS = ["1x", "2x", "4x", "8x", "16x"] as const;

/** Five depths of a needle, of fewer samples each, as they are more together. */
const NEEDLES: TaskGrid = { lengths: LENGTHS, depths: [0, 0.25, 0.5, 0.75, 1], samples: 6 };

/** Texts are longer, and every token of one is asked. */
const TEXT: TaskGrid = { lengths: LENGTHS, samples: 6 };

/** Fewer lengths, as each sample is read twice or more. */
const MEMORY: TaskGrid = { lengths: ["1x", "2x", "4x"], samples: 4 };

/** The sweeps that have a name. */
export const SWEEPS: Readonly<Record<string, SweepConfiguration>> = {
  // All committed models, in some five minutes of two cores without a GPU.
  default: {
    ...SWEEP_DEFAULTS,
    name: "default",
    grids: {
      ...{ "niah-needles": NEEDLES, "niah-noise": NEEDLES, "niah-essay": NEEDLES },
      ...{ "text": TEXT, "forgetting-curve": MEMORY, "context-gain": MEMORY },
    },
  },
  ...PAPER_SWEEPS,
  ...MATCHED_SWEEPS,
  ...FINDING_SWEEPS,
  "mqar-published": MQAR_PUBLISHED,
  "mqar-small": MQAR_SMALL,
  "induction-published": INDUCTION_PUBLISHED,
  "induction-small": INDUCTION_SMALL,
  "interventions": INTERVENTIONS,
  "interventions-small": INTERVENTIONS_SMALL,
};
