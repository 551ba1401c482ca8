/**
 * What is compared with other libraries, and the check that comes before a time: a contender whose
 * output is not ours does not run.
 *
 * @module
 */
import { flashAttention } from "../kernels/attention/mod.ts";
import { deltaRule, deltaRuleRecurrent } from "../kernels/delta_rule/mod.ts";
import { elementCount, type Gpu, type Tensor } from "../kernels/gpu/mod.ts";
import { linearAttention, linearAttentionRecurrent } from "../kernels/linear_attention/mod.ts";
import { matmul } from "../kernels/matmul/mod.ts";
import type { Contender } from "./measure.ts";
import type { Form, Peer } from "./peers/peer.ts";
import { jax } from "./peers/jax.ts";
import { onnxRuntime } from "./peers/onnx_runtime.ts";
import { tensorflow } from "./peers/tensorflow.ts";
import { BENCH } from "./shaders.ts";

const ATTENTION_PLAIN = BENCH.kernel("attention_plain");
const MATMUL_DOT = BENCH.kernel("matmul_dot");
const HEADS = 4;
const DIM = 64;
const EXTENT = 512;

type Inputs = Readonly<Record<string, Tensor>>;
type Operation = (gpu: Gpu, inputs: Inputs) => { readonly output: Tensor };

/** One operation at one size. */
export interface Comparison {
  readonly form: Form;
  /** The operation and its extents. */
  readonly title: string;
  /** Operations of the recurrence, or of the sum, as it is printed; a chunked form does more. */
  readonly flops: number;
  /** Of inputs and output, each read or written once. */
  readonly bytes: number;
  /** Whether some contender takes seconds for it, on a software adapter. */
  readonly long: boolean;
  /** How many times as fast as the best of the others ours is to be. */
  readonly goal: number;
  /** As a peer takes them. */
  readonly inputs: Inputs;
  readonly ours: Operation;
  /** Ours without the art: token by token, or a dot product an invocation. */
  readonly plain: Operation;
  /** The largest relative error of a contender's output against ours. */
  readonly bound: number;
}

/** A contender with what it is. */
export interface Checked extends Contender {
  readonly kind: "ours" | "ours, plain" | "peer";
}

/** The libraries that opened, and those that did not with the reason. */
export interface Peers {
  readonly peers: readonly Peer[];
  readonly refusals: readonly string[];
}

/** Opens every library. */
export async function openPeers(gpu: Gpu): Promise<Peers> {
  const peers: Peer[] = [];
  const refusals: string[] = [];
  for (const [name, open] of Object.entries({ onnxRuntime, tensorflow, jax })) {
    try {
      peers.push(await open(gpu));
    } catch (error) {
      refusals.push(`${name} does not open: ${error}`);
    }
  }
  return { peers, refusals };
}

/** Every comparison, in the order of the table. */
export function comparisons(gpu: Gpu): Comparison[] {
  return [
    matrices(gpu),
    attention(gpu, 1024),
    ...[1024, 4096].flatMap((time) => [
      linear(gpu, "linear", time),
      linear(gpu, "gated", time),
      linear(gpu, "gated_by_key", time),
      linear(gpu, "delta", time),
      linear(gpu, "gated_delta", time),
      linear(gpu, "gated_delta_by_key", time),
    ]),
  ];
}

/**
 * The contenders of a comparison, ours first, each checked against ours, and those that failed with
 * the reason. Every peer must be seen to dispatch shaders: a library may fall back to the CPU unasked.
 */
export async function contenders(
  gpu: Gpu,
  { peers }: Peers,
  comparison: Comparison,
): Promise<{ checked: Checked[]; refusals: string[] }> {
  const { title, form, inputs, ours, plain, bound, flops } = comparison;
  const expected = await readOutput(gpu, ours, inputs);
  const own = (kind: "ours" | "ours, plain", operation: Operation): Checked => ({
    name: kind,
    kind,
    flops,
    run: () => {
      for (const tensor of Object.values(operation(gpu, inputs))) tensor[Symbol.dispose]();
    },
  });
  checkOutput(await readOutput(gpu, plain, inputs), expected, bound);
  const checked = [own("ours", ours), own("ours, plain", plain)];
  const refusals: string[] = [];
  for (const peer of peers) {
    try {
      const work = await peer.prepare({ form, inputs });
      if (work === undefined) continue;
      checkOutput(await work.output(), expected, bound);
      if (!peer.isNative && await countDispatches(work.run) === 0) {
        throw new Error("it dispatches no shader");
      }
      await peer.gpu.sync();
      checked.push({ name: peer.name, kind: "peer", flops, gpu: peer.gpu, run: work.run });
    } catch (error) {
      refusals.push(`${peer.name}, ${title}: ${error}`);
    }
  }
  return { checked, refusals };
}

async function readOutput(gpu: Gpu, operation: Operation, inputs: Inputs): Promise<Float32Array> {
  const outputs = operation(gpu, inputs);
  const output = await outputs.output.read() as Float32Array;
  for (const tensor of Object.values(outputs)) tensor[Symbol.dispose]();
  return output;
}

function checkOutput(actual: Float32Array, expected: Float32Array, bound: number): void {
  if (actual.length !== expected.length) {
    throw new Error(`its output has ${actual.length} elements: ours has ${expected.length}`);
  }
  let error = 0;
  let scale = 0;
  for (let i = 0; i < expected.length; i++) {
    error += (actual[i] - expected[i]) ** 2;
    scale += expected[i] ** 2;
  }
  const relative = Math.sqrt(error / scale);
  if (!(relative <= bound)) {
    throw new Error(`its output is off by ${relative.toPrecision(2)}, over ${bound}`);
  }
}

async function countDispatches(run: Contender["run"]): Promise<number> {
  const { prototype } = GPUComputePassEncoder;
  const { dispatchWorkgroups } = prototype;
  let count = 0;
  prototype.dispatchWorkgroups = function (...workgroups): undefined {
    count++;
    dispatchWorkgroups.apply(this, workgroups);
  };
  try {
    await run();
  } finally {
    prototype.dispatchWorkgroups = dispatchWorkgroups;
  }
  return count;
}

function waves(gpu: Gpu, shape: number[], at: (i: number) => number): Tensor {
  return gpu.tensor(shape, Float32Array.from({ length: elementCount(shape) }, (_, i) => at(i)));
}

function bytesOf(inputs: Inputs, outputBytes: number): number {
  return Object.values(inputs).reduce((sum, { bytes }) => sum + bytes, outputBytes);
}

function matrices(gpu: Gpu): Comparison {
  const shape = [EXTENT, EXTENT];
  const inputs = { a: waves(gpu, shape, Math.sin), b: waves(gpu, shape, (i) => Math.cos(i * i)) };
  return {
    form: "matmul",
    title: `matmul, ${EXTENT} × ${EXTENT} × ${EXTENT}`,
    flops: 2 * EXTENT ** 3,
    bytes: bytesOf(inputs, inputs.a.bytes),
    long: false,
    goal: 4,
    inputs,
    ours: (gpu) => matmul(gpu, inputs),
    plain: (gpu) => {
      const c = gpu.empty(shape);
      gpu.dispatch(MATMUL_DOT, {
        uniform: { rows: EXTENT, columns: EXTENT, reduction: EXTENT },
        read: inputs,
        write: { c },
        workgroups: EXTENT ** 2 / 64,
      });
      return { output: c };
    },
    bound: 1e-4,
  };
}

/** Queries, keys of length about 1, values. */
function rows(gpu: Gpu, time: number): { query: Tensor; key: Tensor; value: Tensor } {
  const shape = [1, time, HEADS, DIM];
  return {
    query: waves(gpu, shape, Math.sin),
    key: waves(gpu, shape, (i) => Math.SQRT2 * Math.cos(i * i) / Math.sqrt(DIM)),
    value: waves(gpu, shape, (i) => Math.sin(3 * i)),
  };
}

function attention(gpu: Gpu, time: number): Comparison {
  const inputs = rows(gpu, time);
  return {
    form: "attention",
    title: `attention, causal, ${extents(time)}`,
    flops: 4 * HEADS * DIM * time * (time + 1) / 2,
    bytes: bytesOf(inputs, inputs.value.bytes),
    long: false,
    goal: 4,
    inputs,
    ours: (gpu) => flashAttention(gpu, inputs, { causal: true }),
    plain: (gpu) => {
      using scores = gpu.empty([HEADS, time, time]);
      const y = gpu.empty(inputs.value.shape);
      gpu.dispatch(ATTENTION_PLAIN, {
        constants: { SCALE: 1 / Math.sqrt(DIM) },
        uniform: { time, heads: HEADS, quads: DIM / 4 },
        read: inputs,
        write: { scores, y },
        workgroups: [Math.ceil(time / 64), HEADS],
      });
      return { output: y };
    },
    bound: 1e-4,
  };
}

/** Every form of a matrix state, with a decay that halves in about 14 tokens where there is one. */
function linear(gpu: Gpu, form: Form, time: number): Comparison {
  const gates: { logDecay?: Tensor; beta?: Tensor } = {};
  const decay = (i: number): number => -0.1 * Math.sin(i) ** 2;
  const delta = form.includes("delta");
  if (form.endsWith("by_key")) gates.logDecay = waves(gpu, [1, time, HEADS, DIM], decay);
  else if (form.startsWith("gated")) gates.logDecay = waves(gpu, [1, time, HEADS], decay);
  const beta = waves(gpu, [1, time, HEADS], (i) => Math.sin(i) ** 2);
  const given = { ...rows(gpu, time), ...gates };
  const inputs: Record<string, Tensor> = { query: given.query, key: given.key, value: given.value };
  if (gates.logDecay) inputs.decay = gates.logDecay;
  if (delta) inputs.beta = beta;
  // A multiplication and an addition an element of the state to update it and to read it; one
  // multiplication more to decay it, two operations more to read it for the delta rule.
  const perElement = 4 + (gates.logDecay ? 1 : 0) + (delta ? 2 : 0);
  return {
    form,
    title: `${TITLES[form]}, ${extents(time)}`,
    flops: perElement * time * HEADS * DIM * DIM,
    bytes: bytesOf(inputs, given.value.bytes),
    long: time > 1024,
    goal: 10,
    inputs,
    ours: (gpu) => delta ? deltaRule(gpu, { ...given, beta }) : linearAttention(gpu, given),
    plain: (gpu) =>
      delta ? deltaRuleRecurrent(gpu, { ...given, beta }) : linearAttentionRecurrent(gpu, given),
    bound: delta ? 5e-4 : 1e-4,
  };
}

const TITLES: Readonly<Record<Form, string>> = {
  matmul: "matmul",
  attention: "attention",
  linear: "linear attention",
  gated: "linear attention, a decay per head",
  gated_by_key: "linear attention, a decay per key",
  delta: "delta rule",
  gated_delta: "delta rule, a decay per head",
  gated_delta_by_key: "delta rule, a decay per key",
};

function extents(time: number): string {
  return `1 × ${time} × ${HEADS} × ${DIM}`;
}
