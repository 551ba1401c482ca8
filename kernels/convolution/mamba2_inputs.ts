import {
  checkNames,
  checkOptions,
  checkRank,
  checkTensor,
  flag,
  type Gpu,
  notNegative,
  positiveInteger,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import { CONVOLUTION } from "./shaders.ts";

const MAMBA2_INPUTS = CONVOLUTION.kernel("mamba2_inputs");
const MAMBA2_INPUTS_FOURS = CONVOLUTION.kernel("mamba2_inputs_fours");
const WORKGROUP_SIZE = 64;
/** Time steps that an invocation takes. */
const STEPS = 8;
/** The least step size where none is set: a softplus is greater than 0. */
export const LOWEST = 0;
/** The largest where none is set: where a softplus is infinite, that shows. */
export const HIGHEST: number = Infinity;

/** Time steps that an invocation with four columns takes, and taps that it holds. */
const [BLOCK, MOST_TAPS] = [64, 8];

/** Tensors that the kernel binds. */
const BINDINGS = 12;
/** Names of inputs. */
export const MAMBA2_INPUTS_NAMES: readonly string[] = [
  "x",
  "weight",
  "bias",
  "initialTail",
  "stepBias",
  "decay",
];

/** Whether an adapter allows as many bindings as {@linkcode mamba2Inputs} has. */
export function hasMamba2Inputs(gpu: Gpu): boolean {
  return gpu.device.limits.maxStorageBuffersPerShaderStage >= BINDINGS;
}

/** Extents of {@linkcode mamba2Inputs}. */
export interface Mamba2Extents {
  /** Sequences. */
  readonly batch: number;
  /** Tokens of each. */
  readonly time: number;
  /** Columns of the projection. */
  readonly stride: number;
  /** Columns that the convolution runs over: inputs, B and C. */
  readonly channels: number;
  /** Tokens that the convolution sees. */
  readonly width: number;
  /** Heads, each with a step size of its own. */
  readonly heads: number;
  /** Columns of B, and of C. */
  readonly shared: number;
  /** Columns before the channels. */
  readonly start: number;
}

/** What {@linkcode mamba2Inputs} takes; `inner` is heads · headDim, `channels` is inner + 2 · shared. */
export interface Mamba2InputsInputs {
  /** The projection, `[batch, time, start + channels + heads]`: input, keys, queries, step sizes. */
  readonly x: Tensor;
  /** `[channels, width]`. */
  readonly weight: Tensor;
  /** `[channels]`; left out, 0. */
  readonly bias?: Tensor;
  /** The last `width − 1` inputs of the convolution: `[batch, width − 1, channels]`; left out, 0. */
  readonly initialTail?: Tensor;
  /** `[heads]`. */
  readonly stepBias: Tensor;
  /** The logarithm of the decay's rate: `[heads]`. */
  readonly decay: Tensor;
}

/** Options of {@linkcode mamba2Inputs}. */
export interface Mamba2InputsOptions {
  /** Size of a head. */
  readonly headDim: number;
  /** The least step size. @default 0 */
  readonly low?: number;
  /** The largest step size. @default there is none */
  readonly high?: number;
  /** Whether one token's tail is overwritten: `finalTail` is its memory then. @default false */
  readonly inPlace?: boolean;
}

/** What {@linkcode mamba2Inputs} returns. */
export interface Mamba2InputsOutputs extends Disposable {
  /** The convolved input, `[batch, time, heads, headDim]`. */
  readonly values: Tensor;
  /** That times the step sizes, `[batch, time, heads, headDim]`. */
  readonly input: Tensor;
  /** B, `[batch, time, shared]`. */
  readonly key: Tensor;
  /** C, `[batch, time, shared]`. */
  readonly query: Tensor;
  /** `[batch, time, heads]`. */
  readonly logDecay: Tensor;
  /** `[batch, width − 1, channels]`. */
  readonly finalTail: Tensor;
}

/** Checks inputs against one another. @throws {RangeError} where a shape does not fit. */
export function checkMamba2Inputs(
  op: string,
  { x, weight, bias, initialTail, stepBias, decay }: Mamba2InputsInputs,
  headDim: number,
): Mamba2Extents {
  checkRank(op, "x", x, ["batch", "time", "columns"]);
  checkRank(op, "weight", weight, ["channels", "width"]);
  const [batch, time, stride] = x.shape;
  const [channels, width] = weight.shape;
  const heads = stepBias.size;
  const shared = (channels - heads * headDim) / 2;
  const start = stride - channels - heads;
  checkTensor(op, "x", x, x.shape);
  checkTensor(op, "weight", weight, [channels, Math.max(1, width)]);
  checkTensor(op, "stepBias", stepBias, [heads]);
  checkTensor(op, "decay", decay, [heads]);
  if (bias) checkTensor(op, "bias", bias, [channels]);
  if (initialTail) checkTensor(op, "initialTail", initialTail, [batch, width - 1, channels]);
  if (!Number.isInteger(shared) || shared < 0 || start < 0) {
    throw new RangeError(
      `Cannot run ${op}() as ${heads} heads of ${headDim} and as many keys as queries must fill the ${channels} channels, and these and the step sizes the ${stride} columns: change headDim, weight or x`,
    );
  }
  return { batch, time, stride, channels, width, heads, shared, start };
}

/**
 * What Mamba-2 does between its projection and its state (Dao & Gu 2024, section 7), in one pass: the short
 * causal convolution with a SiLU over input, B and C; `Δ = softplus(δ + bias)` within its bounds;
 * `log a = −exp(decay) · Δ`; the input times Δ.
 *
 * @throws {RangeError} where a shape or an option does not fit, or the adapter allows too few bindings.
 */
export function mamba2Inputs(
  gpu: Gpu,
  inputs: Mamba2InputsInputs,
  options: Mamba2InputsOptions,
): Mamba2InputsOutputs {
  const op = "mamba2Inputs";
  checkOptions(op, options, {
    headDim: positiveInteger,
    low: notNegative,
    high: notNegative,
    inPlace: flag,
  });
  checkNames(op, inputs, MAMBA2_INPUTS_NAMES);
  if (!hasMamba2Inputs(gpu)) {
    throw new RangeError(
      `Cannot run ${op}() as it has ${BINDINGS} bindings: the adapter allows ${gpu.device.limits.maxStorageBuffersPerShaderStage} (maxStorageBuffersPerShaderStage)`,
    );
  }
  const { x, weight, bias, initialTail, stepBias, decay } = inputs;
  const { headDim, low = LOWEST, high = HIGHEST, inPlace = false } = options;
  const extents = checkMamba2Inputs(op, inputs, headDim);
  const { batch, time, stride, channels, width, heads, shared, start } = extents;
  if (inPlace && (time !== 1 || initialTail === undefined)) {
    throw new RangeError(
      `Cannot run ${op}() with inPlace but for one token with an initialTail: current time is ${time}`,
    );
  }
  const outputs = {
    values: gpu.empty([batch, time, heads, headDim]),
    input: gpu.empty([batch, time, heads, headDim]),
    key: gpu.empty([batch, time, shared]),
    query: gpu.empty([batch, time, shared]),
    logDecay: gpu.empty([batch, time, heads]),
  };
  if (time === 0) {
    const finalTail = gpu.tensor([batch, width - 1, channels]);
    if (initialTail) gpu.copy(initialTail, finalTail);
    return results({ ...outputs, finalTail });
  }
  const finalTail = inPlace
    ? initialTail!.reshape(initialTail!.shape)
    : gpu.empty([batch, width - 1, channels]);
  if (takesFours(gpu, extents, headDim)) {
    const blocks = batch * Math.ceil(time / BLOCK);
    gpu.dispatch(MAMBA2_INPUTS_FOURS, {
      constants: { WORKGROUP_SIZE, WIDTH: width, BLOCK },
      uniform: { batch, time, heads, headDim, keys: shared, stride, start, low, high },
      read: { x, weight, bias, tail: initialTail, stepBias, decay },
      write: { ...outputs, finalTail },
      workgroups: Math.ceil(blocks * (channels + heads) / 4 / WORKGROUP_SIZE),
    });
    return results({ ...outputs, finalTail });
  }
  gpu.dispatch(MAMBA2_INPUTS, {
    constants: { WORKGROUP_SIZE, IN_PLACE: inPlace },
    uniform: { batch, time, heads, headDim, keys: shared, width, stride, start, low, high },
    read: { x, weight, bias, tail: inPlace ? undefined : initialTail, stepBias, decay },
    write: { ...outputs, finalTail },
    workgroups: Math.ceil((channels + heads) / WORKGROUP_SIZE) * Math.ceil(time / STEPS) * batch,
  });
  return results({ ...outputs, finalTail });
}

/**
 * Whether an invocation walks four columns: a software adapter's loads cost as much as 60 multiplications, and
 * those of four numbers little more than those of one.
 */
function takesFours(gpu: Gpu, extents: Mamba2Extents, headDim: number): boolean {
  const { time, stride, channels, width, heads, shared, start } = extents;
  return gpu.adapter.software && time > 1 && width > 1 && width <= MOST_TAPS && shared > 0 &&
    [stride, channels, heads * headDim, headDim, heads, shared, start].every((count) =>
      count % 4 === 0
    );
}
