import { ATTENTION_MEASURED } from "./attention/measured.ts";
import type { Measured } from "./common/measured.ts";
import { DELTA_RULE_MEASURED } from "./delta_rule/measured.ts";
import { LINEAR_ATTENTION_MEASURED } from "./linear_attention/measured.ts";
import { MATMUL_MEASURED } from "./matmul/measured.ts";
import { SCAN_MEASURED } from "./scan/measured.ts";

/** What the tunables of every family are measured on. */
export const MEASURED: readonly Measured[] = [
  ...ATTENTION_MEASURED,
  ...DELTA_RULE_MEASURED,
  ...LINEAR_ATTENTION_MEASURED,
  ...MATMUL_MEASURED,
  ...SCAN_MEASURED,
];
