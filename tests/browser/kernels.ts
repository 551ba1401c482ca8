/** What runs in a browser: kernels against their references, as {@linkcode KERNEL_CASES} draws them. */
import { openGpu } from "../../kernels/mod.ts";
import { Gpu } from "../../kernels/gpu/mod.ts";
import { Draws } from "../fuzz/draws.ts";
import { KERNEL_CASES } from "../fuzz/kernels/mod.ts";

/** What a page found. */
export interface BrowserReport {
  /** The adapter, in the browser's words. */
  readonly adapter: string;
  /** Whether it has subgroups. */
  readonly subgroups: boolean;
  /** Cases that were right, by op. */
  readonly right: Readonly<Record<string, number>>;
  /** What was wrong, in words. */
  readonly wrong: readonly string[];
}

/** Runs so many cases of each op on the browser's adapter, taken for a GPU. */
async function runCases(cases: Readonly<Record<string, number>>): Promise<BrowserReport> {
  const { device, adapter } = await openGpu();
  await using gpu = new Gpu(device, { ...adapter, software: false }, { poison: true, owns: true });
  const right: Record<string, number> = {};
  const wrong: string[] = [];
  for (const [op, count] of Object.entries(cases)) {
    right[op] = 0;
    for (let index = 0; index < count; index++) {
      try {
        await KERNEL_CASES[op](gpu, new Draws(1, op, index));
        right[op]++;
      } catch (error) {
        wrong.push(`${op} ${index}: ${error instanceof Error ? error.message : error}`);
      }
    }
  }
  return { adapter: adapter.name, subgroups: gpu.supportsSubgroups, right, wrong };
}

Object.assign(globalThis, { runCases });
