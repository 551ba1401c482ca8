import { sumAxis } from "../common/sum_axis.ts";
import {
  checkNames,
  checkOption,
  checkOptions,
  checkTensor,
  finite,
  type Gpu,
  integers,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import { workgroups } from "./flat.ts";
import { ARITHMETIC } from "./shaders.ts";

const BROADCAST = ARITHMETIC.kernel("broadcast");
const SUM_TO = ARITHMETIC.kernel("sum_to");
const SCALE = ARITHMETIC.kernel("scale");
/** Elements that one invocation sums in a pass. */
const BLOCK = 64;

/** `a` seen as `[outer, extent, inner]` where `b` is `[extent]`. */
interface Broadcast {
  readonly outer: number;
  readonly extent: number;
  readonly inner: number;
}

function product(extents: readonly number[]): number {
  return extents.reduce((total, extent) => total * extent, 1);
}

/** How a tensor repeats along one of `shape`. @throws {RangeError} where it does not. */
export function broadcastOf(
  op: string,
  name: string,
  shape: readonly number[],
  bShape: readonly number[],
): Broadcast {
  const aligned = [...Array(Math.max(0, shape.length - bShape.length)).fill(1), ...bShape];
  const first = aligned.findIndex((extent) => extent !== 1);
  const last = aligned.findLastIndex((extent) => extent !== 1);
  const fits = aligned.length === shape.length &&
    (first < 0 || aligned.every((extent, i) => i < first || i > last || extent === shape[i]));
  if (!fits) {
    throw new RangeError(
      `Cannot run ${op}() as ${name} must have the shape [${shape}] or repeat along it with its extents other than 1 side by side: current shape is [${bShape}]`,
    );
  }
  if (first < 0) return { outer: 1, extent: 1, inner: product(shape) };
  return {
    outer: product(shape.slice(0, first)),
    extent: product(shape.slice(first, last + 1)),
    inner: product(shape.slice(last + 1)),
  };
}

function combine(gpu: Gpu, op: "add" | "multiply", { a, b }: BroadcastInputs): BroadcastOutputs {
  checkTensor(op, "a", a, a.shape);
  checkTensor(op, "b", b, b.shape);
  const { outer, extent, inner } = broadcastOf(op, "b", a.shape, b.shape);
  const vectors = Math.ceil(a.size / 4);
  const output = gpu.empty(a.shape);
  const { PATTERN, ...pattern } = inner === 1 && (outer === 1 || extent % 4 === 0)
    ? { PATTERN: 0, inner: 1, extent: Math.ceil(extent / 4) }
    : extent === 1 || inner % 4 === 0
    ? { PATTERN: 1, inner: Math.ceil(inner / 4), extent }
    : { PATTERN: 2, inner, extent };
  gpu.dispatch(BROADCAST, {
    constants: { MULTIPLY: op === "multiply", PATTERN },
    uniform: { vectors, ...pattern },
    read: { a, b },
    write: { output },
    workgroups: workgroups(vectors),
  });
  return results({ output });
}

/** Sums `x`, or `x * y`, seen as `[outer, extent, inner]`, over `outer` and `inner`. */
function sumAround(
  gpu: Gpu,
  { x, y }: { x: Tensor; y?: Tensor },
  { outer, extent, inner }: Broadcast,
  shape: readonly number[],
): Tensor {
  if (x.size === 0) return gpu.tensor(shape);
  if (!y && inner === 1 && extent % 4 === 0) return sumAxis(gpu, x, [1, outer, extent], shape);
  // An axis that is short is summed whole beside a long one: a pass ends with both shorter.
  const innerBlocks = Math.ceil(inner / BLOCK);
  const outerBlocks = Math.ceil(outer / Math.max(1, Math.floor(BLOCK / inner)));
  const done = outerBlocks === 1 && innerBlocks === 1;
  const partial = gpu.empty(done ? shape : [outerBlocks, extent, innerBlocks]);
  gpu.dispatch(SUM_TO, {
    uniform: { outer, extent, inner, outerBlocks, innerBlocks },
    read: { x, y },
    write: { partial },
    workgroups: workgroups(outerBlocks * extent * innerBlocks),
  });
  if (done) return partial;
  using rest = partial;
  return sumAround(gpu, { x: rest }, { outer: outerBlocks, extent, inner: innerBlocks }, shape);
}

/** Names of inputs; an op and its gradients may be handed the same. */
const INPUTS = ["a", "b", "outputGradient"];

/** What {@linkcode add} and {@linkcode multiply} take. */
export interface BroadcastInputs {
  /** `[...]`. */
  readonly a: Tensor;
  /** The shape of `a`, or one that repeats along it; see {@linkcode add}. */
  readonly b: Tensor;
}

/** What {@linkcode add}, {@linkcode multiply} and {@linkcode scale} return. */
export interface BroadcastOutputs extends Disposable {
  /** The shape of the first input. */
  readonly output: Tensor;
}

/**
 * `a + b`. Where `b` is smaller it repeats: its shape is aligned with that of `a` at the right, each
 * extent is that of `a` or 1, and those other than 1 stand side by side: `[64]` and `[4, 1]` fit
 * `[2, 100, 4, 64]`, and so does `[1]`; `[2, 1, 4, 1]` does not.
 *
 * @throws {RangeError} where `b` does not repeat along `a` in this way.
 */
export function add(gpu: Gpu, inputs: BroadcastInputs): BroadcastOutputs {
  checkNames("add", inputs, INPUTS);
  return combine(gpu, "add", inputs);
}

/**
 * `a * b`, element by element; `b` repeats as in {@linkcode add}.
 *
 * @throws {RangeError} where `b` does not repeat along `a` in this way.
 */
export function multiply(gpu: Gpu, inputs: BroadcastInputs): BroadcastOutputs {
  checkNames("multiply", inputs, INPUTS);
  return combine(gpu, "multiply", inputs);
}

/** What {@linkcode multiplyBackward} takes. */
export interface MultiplyBackwardInputs extends BroadcastInputs {
  /** The shape of `a`. */
  readonly outputGradient: Tensor;
}

/** What {@linkcode multiplyBackward} returns. */
export interface MultiplyGradients extends Disposable {
  /** The shape of `a`. */
  readonly aGradient: Tensor;
  /** The shape of `b`: summed over the places where `b` repeats. */
  readonly bGradient: Tensor;
}

/**
 * The gradients of {@linkcode multiply}.
 *
 * @throws {RangeError} where a shape does not fit `a`.
 */
export function multiplyBackward(gpu: Gpu, inputs: MultiplyBackwardInputs): MultiplyGradients {
  checkNames("multiplyBackward", inputs, INPUTS);
  const { a, b, outputGradient } = inputs;
  checkTensor("multiplyBackward", "a", a, a.shape);
  checkTensor("multiplyBackward", "b", b, b.shape);
  checkTensor("multiplyBackward", "outputGradient", outputGradient, a.shape);
  const around = broadcastOf("multiplyBackward", "b", a.shape, b.shape);
  return results({
    aGradient: combine(gpu, "multiply", { a: outputGradient, b }).output,
    bGradient: sumAround(gpu, { x: outputGradient, y: a }, around, b.shape),
  });
}

/** What {@linkcode sumTo} takes. */
export interface SumToInputs {
  /** `[...]`. */
  readonly x: Tensor;
}

/** Options of {@linkcode sumTo}. */
export interface SumToOptions {
  /** The shape to sum to: one that repeats along `x` as the `b` of {@linkcode add} does. */
  readonly shape: readonly number[];
}

/** What {@linkcode sumTo} returns. */
export interface SumToOutputs extends Disposable {
  /** The shape asked for. */
  readonly output: Tensor;
}

/**
 * Sums `x` over the places where a tensor of `shape` repeats along it: what the gradient of a
 * broadcast needs. The same order of sums each time: no atomics.
 *
 * @throws {RangeError} where `shape` does not repeat along `x`.
 */
export function sumTo(gpu: Gpu, inputs: SumToInputs, options: SumToOptions): SumToOutputs {
  checkNames("sumTo", inputs, ["x"]);
  const { x } = inputs;
  const { shape } = options;
  checkOptions("sumTo", options, { shape: integers() });
  checkOption("sumTo", "shape", shape, integers());
  checkTensor("sumTo", "x", x, x.shape);
  const around = broadcastOf("sumTo", "shape", x.shape, shape);
  return results({ output: sumAround(gpu, { x }, around, shape) });
}

/** What {@linkcode scale} takes. */
export interface ScaleInputs {
  /** `[...]`. */
  readonly x: Tensor;
}

/** Options of {@linkcode scale}. */
export interface ScaleOptions {
  /** What every element is multiplied by; a new value costs no new pipeline. */
  readonly factor: number;
}

/** `x * factor`. @throws {RangeError} where `x` is not f32. */
export function scale(gpu: Gpu, inputs: ScaleInputs, options: ScaleOptions): BroadcastOutputs {
  checkNames("scale", inputs, ["x"]);
  const { x } = inputs;
  const { factor } = options;
  checkOptions("scale", options, { factor: finite });
  checkOption("scale", "factor", factor, finite);
  checkTensor("scale", "x", x, x.shape);
  const output = gpu.empty(x.shape);
  const vectors = Math.ceil(x.size / 4);
  gpu.dispatch(SCALE, {
    uniform: { vectors, factor },
    read: { x },
    write: { output },
    workgroups: workgroups(vectors),
  });
  return results({ output });
}
