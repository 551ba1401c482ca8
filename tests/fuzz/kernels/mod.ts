import { ATTENTION } from "./attention.ts";
import type { KernelCase } from "./compare.ts";
import { FUSED } from "./fused.ts";
import { LAYERS } from "./layers.ts";
import { MULTIPLY_ADD } from "./multiply_add.ts";
import { RECURRENCES } from "./recurrences.ts";
import { SCANS } from "./scans.ts";
import { STORAGE } from "./storage.ts";

/** Random cases of every op, by name. They know no runtime: a browser runs them too. */
export const KERNEL_CASES: Readonly<Record<string, KernelCase>> = {
  ...LAYERS,
  ...STORAGE,
  ...FUSED,
  ...MULTIPLY_ADD,
  ...SCANS,
  ...RECURRENCES,
  ...ATTENTION, // whose shaders a software adapter compiles for seconds
};
