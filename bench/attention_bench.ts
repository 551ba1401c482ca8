/**
 * Attention beside a plain kernel and beside the matrix products that it contains; how it grows with the
 * length is in the tables of `bench/table.ts`. Run by `deno bench -A bench/attention_bench.ts`.
 *
 * @module
 */
import { flashAttention, flashAttentionBackward, flashAttentionStep } from "../kernels/mod.ts";
import { elementCount, matmul, openGpu, type Tensor } from "../kernels/mod.ts";
import { readTuning } from "../tasks/tuning/file.ts";
import { benchGroup, type Contender } from "./measure.ts";
import { BENCH } from "./shaders.ts";

const ATTENTION_PLAIN = BENCH.kernel("attention_plain");
const TIME = 1024;
const HEADS = 4;
const DIM = 64;
const WINDOW = 256;
const LENGTHS = [1024, 4096];

const gpu = await openGpu({ tuning: readTuning });
console.error(gpu.adapter.name);

const causal = [
  plain(TIME),
  forward("flashAttention", TIME),
  backward("flashAttentionBackward", TIME),
  products(TIME),
];
const steps = [1024, 8192].map(step);
const windows = LENGTHS.map((time) => forward(`window ${WINDOW}, T = ${time}`, time, WINDOW));

benchGroup(gpu, `1 × ${TIME} × ${HEADS} × ${DIM}, causal`, causal, { iterations: 5 });
benchGroup(gpu, `a window of ${WINDOW}`, windows, { iterations: 5 });
benchGroup(gpu, "one query to a cache", steps, { runs: 10 });

function waves(shape: number[], frequency: number): Tensor {
  return gpu.tensor(
    shape,
    Float32Array.from({ length: elementCount(shape) }, (_, i) => Math.sin(frequency * i)),
  );
}

function sequences(time: number): Record<"query" | "key" | "value", Tensor> {
  const shape = [1, time, HEADS, DIM];
  return { query: waves(shape, 1), key: waves(shape, 2), value: waves(shape, 3) };
}

/** Query and key pairs of which one sees the other. */
function pairs(time: number, window = time): number {
  return HEADS * (window * (window + 1) / 2 + (time - window) * window);
}

function free(outputs: object): void {
  for (const tensor of Object.values(outputs)) tensor[Symbol.dispose]();
}

function plain(time: number): Contender {
  const { query, key, value } = sequences(time);
  const scores = gpu.empty([HEADS, time, time]);
  const y = gpu.empty(value.shape);
  return {
    name: "a stored row of scores an invocation",
    flops: 4 * DIM * pairs(time),
    run: () =>
      gpu.dispatch(ATTENTION_PLAIN, {
        constants: { SCALE: 1 / Math.sqrt(DIM) },
        uniform: { time, heads: HEADS, quads: DIM / 4 },
        read: { query, key, value },
        write: { scores, y },
        workgroups: [Math.ceil(time / 64), HEADS],
      }),
  };
}

function forward(name: string, time: number, window?: number): Contender {
  const inputs = sequences(time);
  return {
    name,
    flops: 4 * DIM * pairs(time, window),
    run: () => free(flashAttention(gpu, inputs, { window })),
  };
}

function backward(name: string, time: number): Contender {
  const inputs = sequences(time);
  const outputs = flashAttention(gpu, inputs);
  const given = { ...inputs, ...outputs, outputGradient: inputs.value };
  return {
    name,
    flops: 14 * DIM * pairs(time),
    run: () => free(flashAttentionBackward(gpu, given)),
  };
}

/** The two products of causal attention: half of all pairs of queries and keys, and nothing else. */
function products(time: number): Contender {
  const query = waves([HEADS, time, DIM], 1);
  const key = waves([HEADS, time / 2, DIM], 2);
  const value = waves([HEADS, time / 2, DIM], 3);
  const weights = waves([HEADS, time, time / 2], 4);
  return {
    name: "the forward pass's matrix products alone",
    flops: 4 * DIM * HEADS * time * time / 2,
    run: () => {
      free(matmul(gpu, { a: query, b: key }, { transposeB: true }));
      free(matmul(gpu, { a: weights, b: value }));
    },
  };
}

function step(time: number): Contender {
  const { key, value } = sequences(time);
  const query = waves([1, 1, HEADS, DIM], 1);
  return {
    name: `flashAttentionStep, ${time} keys`,
    flops: 4 * DIM * HEADS * time,
    run: () => free(flashAttentionStep(gpu, { query, key, value })),
  };
}
