/**
 * Claims about long sequences, each put to the test by one command: `./run sweep finding-N`.
 *
 * @module
 */
import type { SweepConfiguration } from "../../sweep/configuration.ts";
import { COPYING } from "./copying.ts";
import { EXTRAPOLATION } from "./extrapolation.ts";
import type { Finding } from "./finding.ts";
import { HAYSTACKS } from "./haystacks.ts";
import { OVERWRITING } from "./overwriting.ts";
import { POSITIONS } from "./positions.ts";
import { STATE_SIZE, WIDTHS } from "./recall.ts";
import { STATE_PASSING } from "./state_passing.ts";
import { STATE_TRACKING } from "./state_tracking.ts";
import { WINDOWS } from "./window.ts";

export { type Check, Evidence, type Finding, together, type Verdict } from "./finding.ts";

/** The findings, by their number. */
export const FINDINGS: readonly Finding[] = [
  POSITIONS,
  EXTRAPOLATION,
  WINDOWS,
  STATE_SIZE,
  WIDTHS,
  STATE_PASSING,
  COPYING,
  OVERWRITING,
  STATE_TRACKING,
  HAYSTACKS,
];

/** Their sweeps. */
export const FINDING_SWEEPS: Readonly<Record<string, SweepConfiguration>> = Object.fromEntries(
  FINDINGS.map(({ configuration }) => [configuration.name, configuration]),
);

/** The sweeps that tried their learning rates: `finding-N-tuning`. */
export const TUNING_SWEEPS: Readonly<Record<string, SweepConfiguration>> = Object.fromEntries(
  FINDINGS.map(({ tuning }) => [tuning.name, tuning]),
);
