import { ATTENTION } from "./attention.ts";
import type { KernelCase } from "./compare.ts";
import { LAYERS } from "./layers.ts";
import { RECURRENCES } from "./recurrences.ts";
import { SCANS } from "./scans.ts";

/** Random cases of every op, by name. They know no runtime: a browser runs them too. */
export const KERNEL_CASES: Readonly<Record<string, KernelCase>> = {
  ...LAYERS,
  ...SCANS,
  ...RECURRENCES,
  ...ATTENTION, // whose shaders a software adapter compiles for seconds
};
