/**
 * Our kernels beside those of the libraries that run in Deno on the same adapter. Run by
 * `deno bench -A bench/peers_bench.ts`; `bench/table.ts` makes the README's table, of all
 * forms and of longer ones too.
 *
 * @module
 */
import { openGpu } from "../kernels/gpu/mod.ts";
import { readTuning } from "../tasks/tuning/file.ts";
import { comparisons, contenders, openPeers } from "./comparisons.ts";
import { benchGroup } from "./measure.ts";
import type { Form } from "./peers/peer.ts";

/** One of a kind: each is made ready and checked before the first figure. */
const FORMS: ReadonlySet<Form> = new Set(["matmul", "attention", "gated", "gated_delta"]);

const gpu = await openGpu({ tuning: readTuning });
console.error(gpu.adapter.name);
const opened = await openPeers(gpu);
for (const refusal of opened.refusals) console.error(refusal);
for (const comparison of comparisons(gpu).filter(({ form, long }) => FORMS.has(form) && !long)) {
  const { checked, refusals } = await contenders(gpu, opened, comparison);
  for (const refusal of refusals) console.error(refusal);
  benchGroup(gpu, comparison.title, checked, { iterations: 3 });
}
