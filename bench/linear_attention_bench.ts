/**
 * Linear attention, chunked, beside the token-by-token kernel, and how its time grows with the length.
 * Run by `deno bench -A bench/linear_attention_bench.ts`.
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
import { benchGroup, compare, type Contender, fittedExponent } from "./measure.ts";

const HEADS = 4;
const DIM = 64;
const FORMS = ["no decay", "decay per head", "decay per key"] as const;

const gpu = await openGpu({ tuning: readTuning });
console.error(gpu.adapter.name);
for (const form of FORMS) await printGrowth(form, [1024, 4096, 16_384]);
for (const form of FORMS) {
  for (const time of [256, 1024, 4096]) {
    const contenders = makeContenders(form, time);
    benchGroup(gpu, `linear attention, ${form}, 1 × ${time} × ${HEADS} × ${DIM}`, contenders, {
      runs: Math.max(1, 2048 / time),
    });
  }
}

/** Prints the times at each length, and the exponent of time in length fitted to them. */
async function printGrowth(form: typeof FORMS[number], lengths: readonly number[]): Promise<void> {
  const times: number[][] = [];
  for (const length of lengths) {
    const contenders = makeContenders(form, length);
    times.push(await compare(gpu, contenders, { sampleMilliseconds: 50, rounds: 3 }));
  }
  console.error(`${form}, 1 × T × ${HEADS} × ${DIM}, T = ${lengths.join(", ")}`);
  for (const [index, { name }] of makeContenders(form, 0).entries()) {
    const column = times.map((row) => row[index]);
    const exponent = fittedExponent(lengths, column);
    const text = column.map((time) => `${time.toFixed(1).padStart(8)} ms`).join("");
    console.error(`  ${name.padEnd(20)}${text}   T^${exponent.toFixed(2)}`);
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
