/**
 * The delta rule and RWKV-7, chunked, beside the token-by-token kernels. Run by
 * `deno bench -A bench/delta_rule_bench.ts`. An iteration is one run and one wait, of which Deno's 11 ms
 * are a part.
 *
 * @module
 */
import {
  deltaRule,
  deltaRuleBackward,
  deltaRuleRecurrent,
  elementCount,
  openGpu,
  rwkv7,
  rwkv7Backward,
  rwkv7Recurrent,
  type Tensor,
} from "../kernels/mod.ts";
import { readTuning } from "../tasks/tuning/file.ts";

const HEADS = 4;
const DIM = 64;

const gpu = await openGpu({ tuning: readTuning });
console.error(gpu.adapter.name);

function waves(shape: number[], at: (i: number) => number): Tensor {
  return gpu.tensor(shape, Float32Array.from({ length: elementCount(shape) }, (_, i) => at(i)));
}

for (const time of [1024, 4096]) {
  const rows = [1, time, HEADS, DIM];
  const query = waves(rows, (i) => Math.sin(i));
  const key = waves(rows, (i) => Math.SQRT2 * Math.cos(i * i) / Math.sqrt(DIM)); // of length about 1
  const value = waves(rows, (i) => Math.sin(3 * i));
  const beta = waves([1, time, HEADS], (i) => Math.sin(i) ** 2);
  const byHead = waves([1, time, HEADS], (i) => -(Math.sin(i) ** 2));
  const byChannel = waves(rows, (i) => -(Math.sin(i) ** 2));
  const a = waves(rows, (i) => -Math.SQRT2 * Math.cos(i * i) / Math.sqrt(DIM));
  const inputs = { query, key, value, beta };
  const rwkv7Inputs = { receptance: query, logDecay: byChannel, key, value, a, b: key };

  /** By group; the first of a group is its baseline. */
  const groups: Record<string, Record<string, () => object>> = {
    "delta rule": {
      "token by token": () => deltaRuleRecurrent(gpu, inputs),
      "chunked": () => deltaRule(gpu, inputs),
      "chunked, backward": () => deltaRuleBackward(gpu, { ...inputs, outputGradient: value }),
    },
    "gated delta rule": {
      "token by token": () => deltaRuleRecurrent(gpu, { ...inputs, logDecay: byHead }),
      "chunked": () => deltaRule(gpu, { ...inputs, logDecay: byHead }),
      "chunked, backward": () =>
        deltaRuleBackward(gpu, { ...inputs, logDecay: byHead, outputGradient: value }),
    },
    "delta rule with a decay per channel": {
      "token by token": () => deltaRuleRecurrent(gpu, { ...inputs, logDecay: byChannel }),
      "chunked": () => deltaRule(gpu, { ...inputs, logDecay: byChannel }),
      "chunked, backward": () =>
        deltaRuleBackward(gpu, { ...inputs, logDecay: byChannel, outputGradient: value }),
    },
    "rwkv7": {
      "token by token": () => rwkv7Recurrent(gpu, rwkv7Inputs),
      "chunked": () => rwkv7(gpu, rwkv7Inputs),
      "chunked, backward": () => rwkv7Backward(gpu, { ...rwkv7Inputs, outputGradient: value }),
    },
  };

  for (const [group, contenders] of Object.entries(groups)) {
    Object.entries(contenders).forEach(([name, run], index) =>
      Deno.bench({
        name,
        group: `${group}, 1 × ${time} × ${HEADS} × ${DIM}`,
        baseline: index === 0,
        n: 3,
        warmup: 1,
        fn: async () => {
          for (const output of Object.values(run())) output?.[Symbol.dispose]();
          await gpu.sync();
        },
      })
    );
  }
}
