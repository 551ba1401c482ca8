/**
 * Linear attention, chunked, beside the token-by-token kernel; how its time grows with the length is in
 * the tables of `bench/table.ts`. Run by `deno bench -A bench/linear_attention_bench.ts`.
 *
 * @module
 */
import {
  elementCount,
  linearAttention,
  linearAttentionBackward,
  type LinearAttentionInputs,
  linearAttentionRecurrent,
  openGpu,
  type Tensor,
} from "../kernels/mod.ts";
import { readTuning } from "../tasks/tuning/file.ts";
import { benchGroup, type Contender } from "./measure.ts";

const HEADS = 4;
const DIM = 64;
const FORMS = ["no decay", "decay per head", "decay per key"] as const;

const gpu = await openGpu({ tuning: readTuning });
console.error(gpu.adapter.name);
for (const form of FORMS) {
  for (const time of [256, 1024, 4096]) {
    const contenders = makeContenders(form, time);
    benchGroup(gpu, `linear attention, ${form}, 1 × ${time} × ${HEADS} × ${DIM}`, contenders, {
      runs: Math.max(1, 2048 / time),
      iterations: 4,
    });
  }
}

function makeContenders(form: typeof FORMS[number], time: number): Contender[] {
  const rows = [1, time, HEADS, DIM];
  const inputs: LinearAttentionInputs = {
    query: waves(rows, (i) => Math.sin(i)),
    key: waves(rows, (i) => Math.cos(i * i)),
    value: waves(rows, (i) => Math.sin(3 * i)),
    logDecay: {
      "no decay": undefined,
      "decay per head": waves([1, time, HEADS], (i) => -0.1 * Math.sin(i) ** 2),
      "decay per key": waves(rows, (i) => -0.1 * Math.sin(i) ** 2),
    }[form],
  };
  const contender = (name: string, op: () => object): Contender => ({
    name,
    run: () => {
      for (const tensor of Object.values(op())) tensor?.[Symbol.dispose]();
    },
  });
  return [
    contender("token by token", () => linearAttentionRecurrent(gpu, inputs)),
    contender("chunked", () => linearAttention(gpu, inputs)),
    contender(
      "chunked, backward",
      () => linearAttentionBackward(gpu, { ...inputs, outputGradient: inputs.value }),
    ),
  ];
}

function waves(shape: number[], at: (i: number) => number): Tensor {
  return gpu.tensor(shape, Float32Array.from({ length: elementCount(shape) }, (_, i) => at(i)));
}
