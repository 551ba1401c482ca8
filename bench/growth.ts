/**
 * How time and memory of the sequence kernels grow with the length.
 *
 * @module
 */
import { flashAttention, flashAttentionBackward } from "../kernels/attention/mod.ts";
import { deltaRule, deltaRuleBackward, rwkv7, rwkv7Backward } from "../kernels/delta_rule/mod.ts";
import { elementCount, type Gpu, type Tensor } from "../kernels/gpu/mod.ts";
import { linearAttention, linearAttentionBackward } from "../kernels/linear_attention/mod.ts";
import { scan, scanBackward, selectiveScan, selectiveScanBackward } from "../kernels/scan/mod.ts";
import { type Clock, measure } from "./measure.ts";

const HEADS = 4;
const DIM = 64;
const CHANNELS = 256;
const STATE = 16;
/** Values of an input before they come again, so that long inputs are made soon. */
const PERIOD = 2 ** 16;
const LONG = [1024, 4096, 16384, 32768];
/** Of work that grows as the square and does more of it. */
const SHORT = [1024, 2048, 4096, 8192];

/** Makes a tensor `[1, time, …row]` of values between two bounds. */
type Rows = (row: readonly number[], low: number, high: number) => Tensor;
/** Lets a tensor go when the length has been measured. */
type Keep = (tensor: Tensor) => Tensor;

/** A kernel, at any length. */
interface Growing {
  readonly name: string;
  readonly lengths: readonly number[];
  /** Makes inputs, and the work on them. */
  readonly prepare: (rows: Rows, gpu: Gpu, keep: Keep) => () => object;
}

/** Times and peaks of memory of a kernel at each length. */
export interface Growth {
  readonly name: string;
  readonly lengths: readonly number[];
  /** Of a run. */
  readonly milliseconds: readonly number[];
  /** Of inputs, outputs and all between. */
  readonly peakBytes: readonly number[];
}

/** Measures each kernel in turn, and hands it over. */
export async function* measureGrowth(gpu: Gpu, clock: Clock): AsyncGenerator<Growth> {
  for (const { name, lengths, prepare } of KERNELS) {
    const milliseconds: number[] = [];
    const peakBytes: number[] = [];
    for (const time of lengths) {
      gpu.trim();
      const before = gpu.memory.current;
      using inputs = new DisposableStack();
      const keep: Keep = (tensor) => inputs.use(tensor);
      const rows: Rows = (row, low, high) => keep(waves(gpu, [1, time, ...row], low, high));
      const work = prepare(rows, gpu, keep);
      const run = (): void => free(work());
      gpu.resetPeak();
      run();
      await gpu.sync();
      peakBytes.push(gpu.memory.peak - before);
      const options = { sampleMilliseconds: 50, samples: 1, warmUp: false, clock };
      milliseconds.push(await measure(gpu, run, options));
    }
    yield { name, lengths, milliseconds, peakBytes };
  }
}

function waves(gpu: Gpu, shape: readonly number[], low: number, high: number): Tensor {
  const values = new Float32Array(elementCount(shape));
  const period = Math.min(PERIOD, values.length);
  for (let i = 0; i < period; i++) values[i] = low + (high - low) * (Math.sin(i * i) + 1) / 2;
  for (let done = period; done < values.length; done *= 2) values.copyWithin(done, 0, done);
  return gpu.tensor(shape, values);
}

function free(tensors: object): void {
  for (const tensor of Object.values(tensors)) tensor?.[Symbol.dispose]();
}

/** Queries, keys of length about 1 and values of a matrix state. */
function heads(rows: Rows, count = HEADS): Record<"query" | "key" | "value", Tensor> {
  const unit = Math.SQRT2 / Math.sqrt(DIM);
  return {
    query: rows([count, DIM], -1, 1),
    key: rows([count, DIM], -unit, unit),
    value: rows([count, DIM], -1, 1),
  };
}

type Decay = "none" | "head" | "key";

function decayOf(rows: Rows, decay: Decay): { logDecay?: Tensor } {
  if (decay === "none") return {};
  return { logDecay: rows(decay === "head" ? [HEADS] : [HEADS, DIM], -0.1, 0) };
}

function linear(name: string, decay: Decay): Growing[] {
  return [
    {
      name,
      lengths: LONG,
      prepare: (rows, gpu) => {
        const inputs = { ...heads(rows), ...decayOf(rows, decay) };
        return () => linearAttention(gpu, inputs);
      },
    },
    {
      name: `${name}, backward`,
      lengths: LONG,
      prepare: (rows, gpu) => {
        const inputs = { ...heads(rows), ...decayOf(rows, decay) };
        return () => linearAttentionBackward(gpu, { ...inputs, outputGradient: inputs.value });
      },
    },
  ];
}

function delta(name: string, decay: Decay): Growing[] {
  return [
    {
      name,
      lengths: LONG,
      prepare: (rows, gpu) => {
        const inputs = { ...heads(rows), ...decayOf(rows, decay), beta: rows([HEADS], 0, 1) };
        return () => deltaRule(gpu, inputs);
      },
    },
    {
      name: `${name}, backward`,
      lengths: LONG,
      prepare: (rows, gpu) => {
        const inputs = { ...heads(rows), ...decayOf(rows, decay), beta: rows([HEADS], 0, 1) };
        return () => deltaRuleBackward(gpu, { ...inputs, outputGradient: inputs.value });
      },
    },
  ];
}

function rwkv7Inputs(
  rows: Rows,
): Record<"receptance" | "key" | "value" | "logDecay" | "a" | "b", Tensor> {
  const { query, key, value } = heads(rows);
  const unit = Math.SQRT2 / Math.sqrt(DIM);
  return {
    receptance: query,
    key,
    value,
    logDecay: rows([HEADS, DIM], -0.6, 0),
    a: rows([HEADS, DIM], -unit, unit),
    b: rows([HEADS, DIM], -unit / 2, unit / 2),
  };
}

function selectiveInputs(
  rows: Rows,
  gpu: Gpu,
  keep: Keep,
): Record<"input" | "delta" | "a" | "b" | "c", Tensor> {
  return {
    input: rows([CHANNELS], -1, 1),
    delta: rows([CHANNELS], 0, 0.1),
    a: keep(waves(gpu, [CHANNELS, STATE], -16, -1)),
    b: rows([STATE], -1, 1),
    c: rows([STATE], -1, 1),
  };
}

const KERNELS: readonly Growing[] = [
  {
    name: "attention, 1 head",
    lengths: LONG,
    prepare: (rows, gpu) => {
      const inputs = heads(rows, 1);
      return () => flashAttention(gpu, inputs, { causal: true });
    },
  },
  {
    name: "attention, 1 head, backward",
    lengths: SHORT,
    prepare: (rows, gpu, keep) => {
      const inputs = heads(rows, 1);
      const outputs = flashAttention(gpu, inputs, { causal: true });
      Object.values(outputs).forEach(keep);
      const given = { ...inputs, ...outputs, outputGradient: inputs.value };
      return () => flashAttentionBackward(gpu, given, { causal: true });
    },
  },
  {
    name: "attention, 1 head, window 256",
    lengths: LONG,
    prepare: (rows, gpu) => {
      const inputs = heads(rows, 1);
      return () => flashAttention(gpu, inputs, { causal: true, window: 256 });
    },
  },
  ...linear("linear attention", "none"),
  ...linear("linear attention, a decay per head", "head"),
  ...linear("linear attention, a decay per key", "key"),
  ...delta("delta rule", "none"),
  ...delta("delta rule, a decay per head", "head"),
  ...delta("delta rule, a decay per key", "key"),
  {
    name: "RWKV-7",
    lengths: LONG,
    prepare: (rows, gpu) => {
      const inputs = rwkv7Inputs(rows);
      return () => rwkv7(gpu, inputs);
    },
  },
  {
    name: "RWKV-7, backward",
    lengths: LONG,
    prepare: (rows, gpu) => {
      const inputs = rwkv7Inputs(rows);
      return () => rwkv7Backward(gpu, { ...inputs, outputGradient: inputs.value });
    },
  },
  {
    name: "scan",
    lengths: LONG,
    prepare: (rows, gpu) => {
      const [decay, input] = [rows([CHANNELS], 0.9, 1), rows([CHANNELS], -1, 1)];
      return () => scan(gpu, { decay, input });
    },
  },
  {
    name: "scan, backward",
    lengths: LONG,
    prepare: (rows, gpu) => {
      const [decay, output] = [rows([CHANNELS], 0.9, 1), rows([CHANNELS], -1, 1)];
      return () => scanBackward(gpu, { decay, output, outputGradient: output });
    },
  },
  {
    name: "selective scan",
    lengths: LONG,
    prepare: (rows, gpu, keep) => {
      const inputs = selectiveInputs(rows, gpu, keep);
      return () => selectiveScan(gpu, inputs);
    },
  },
  {
    name: "selective scan, backward",
    lengths: LONG,
    prepare: (rows, gpu, keep) => {
      const inputs = selectiveInputs(rows, gpu, keep);
      return () => selectiveScanBackward(gpu, { ...inputs, outputGradient: inputs.input });
    },
  },
];
