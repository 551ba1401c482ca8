import { sumAxis } from "../common/sum_axis.ts";
import {
  checkNames,
  checkOptions,
  checkTensor,
  type Gpu,
  notNegative,
  positiveInteger,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import {
  checkMamba2Inputs,
  HIGHEST,
  LOWEST,
  MAMBA2_INPUTS_NAMES,
  type Mamba2InputsInputs,
  type Mamba2InputsOptions,
} from "./mamba2_inputs.ts";
import { CONVOLUTION } from "./shaders.ts";

const MAMBA2_INPUTS_BACKWARD = CONVOLUTION.kernel("mamba2_inputs_backward");
const MAMBA2_STEP_GRADIENT = CONVOLUTION.kernel("mamba2_step_gradient");
const WEIGHT_SUM = CONVOLUTION.kernel("causal_convolution_weight_sum");
const WORKGROUP_SIZE = 64;
/** Tensors that the kernel binds. */
const BINDINGS = 15;
const GRADIENTS = [
  "gateGradient",
  "valuesGradient",
  "inputGradient",
  "keyGradient",
  "queryGradient",
  "logDecayGradient",
  "finalTailGradient",
] as const;
/** Names of inputs; the question whether the op is to be had may be handed the same. */
const NAMES = [...MAMBA2_INPUTS_NAMES, ...GRADIENTS];
/** Taps that an invocation holds in registers. */
const MOST_TAPS = 8;

/** Time steps that an invocation walks: a software adapter has few cores, a GPU wants many invocations. */
function blockOf(gpu: Gpu): number {
  return gpu.adapter.software ? 64 : 8;
}

/** What {@linkcode mamba2InputsBackward} takes; a gradient that is left out is 0. */
export interface Mamba2InputsBackwardInputs extends Mamba2InputsInputs {
  /** Of the columns before the channels, which `mamba2Inputs` leaves: `[batch, time, start]`. */
  readonly gateGradient?: Tensor;
  /** `[batch, time, heads, headDim]`. */
  readonly valuesGradient?: Tensor;
  /** `[batch, time, heads, headDim]`. */
  readonly inputGradient?: Tensor;
  /** `[batch, time, shared]`. */
  readonly keyGradient?: Tensor;
  /** `[batch, time, shared]`. */
  readonly queryGradient?: Tensor;
  /** `[batch, time, heads]`. */
  readonly logDecayGradient?: Tensor;
  /** `[batch, width − 1, channels]`. */
  readonly finalTailGradient?: Tensor;
}

/** What {@linkcode mamba2InputsBackward} returns. */
export interface Mamba2InputsGradients extends Disposable {
  /** `[batch, time, start + channels + heads]`. */
  readonly xGradient: Tensor;
  /** `[channels, width]`. */
  readonly weightGradient: Tensor;
  /** `[channels]`; there where a bias is. */
  readonly biasGradient?: Tensor;
  /** `[batch, width − 1, channels]`; there where an initial tail is. */
  readonly initialTailGradient?: Tensor;
  /** `[heads]`. */
  readonly stepBiasGradient: Tensor;
  /** `[heads]`. */
  readonly decayGradient: Tensor;
}

/**
 * Whether an adapter allows as many bindings as {@linkcode mamba2InputsBackward} has, and the columns are
 * whole vectors of four, the taps no more than eight.
 *
 * @throws {RangeError} where a shape or an option does not fit.
 */
export function hasMamba2InputsBackward(
  gpu: Gpu,
  inputs: Mamba2InputsInputs,
  options: Pick<Mamba2InputsOptions, "headDim">,
): boolean {
  const op = "hasMamba2InputsBackward";
  checkNames(op, inputs, NAMES);
  checkOptions(op, options, { headDim: positiveInteger });
  const { headDim } = options;
  const { time, stride, channels, width, heads, shared, start } = checkMamba2Inputs(
    op,
    inputs,
    headDim,
  );
  return gpu.device.limits.maxStorageBuffersPerShaderStage >= BINDINGS && time > 0 &&
    width <= MOST_TAPS && shared > 0 &&
    [stride, channels, heads * headDim, headDim, shared, start].every((count) => count % 4 === 0);
}

/**
 * The gradients of {@linkcode mamba2Inputs}. A step size has none where a bound holds it.
 *
 * @throws {RangeError} where a shape or an option does not fit, or {@linkcode hasMamba2InputsBackward} is
 * not so.
 */
export function mamba2InputsBackward(
  gpu: Gpu,
  inputs: Mamba2InputsBackwardInputs,
  options: Pick<Mamba2InputsOptions, "headDim" | "low" | "high">,
): Mamba2InputsGradients {
  const op = "mamba2InputsBackward";
  checkNames(op, inputs, NAMES);
  checkOptions(op, options, { headDim: positiveInteger, low: notNegative, high: notNegative });
  const { headDim, low = LOWEST, high = HIGHEST } = options;
  const { x, weight, bias, initialTail, stepBias, decay, ...gradients } = inputs;
  const given = { x, weight, bias, initialTail, stepBias, decay };
  const extents = checkMamba2Inputs(op, given, headDim);
  const { batch, time, stride, channels, width, heads, shared, start } = extents;
  const shapes: Record<typeof GRADIENTS[number], number[]> = {
    gateGradient: [batch, time, start],
    valuesGradient: [batch, time, heads, headDim],
    inputGradient: [batch, time, heads, headDim],
    keyGradient: [batch, time, shared],
    queryGradient: [batch, time, shared],
    logDecayGradient: [batch, time, heads],
    finalTailGradient: [batch, width - 1, channels],
  };
  for (const name of GRADIENTS) {
    const gradient = gradients[name];
    if (gradient) checkTensor(op, name, gradient, shapes[name]);
  }
  if (!hasMamba2InputsBackward(gpu, given, { headDim })) {
    throw new RangeError(
      `Cannot run ${op}() as it takes ${BINDINGS} bindings, at least one time step, at most ${MOST_TAPS} taps, and columns that are multiples of 4: compose it of causalConvolutionBackward() and others`,
    );
  }
  const { logDecayGradient, ...passed } = gradients;
  const block = blockOf(gpu);
  const blocks = Math.ceil(time / block);
  const rows = batch * time;
  const xGradient = gpu.empty(x.shape);
  const initialTailGradient = initialTail && gpu.empty(initialTail.shape);
  const parts = headDim / 4;
  using stepTerms = gpu.empty([rows, heads, parts]);
  using partial = gpu.empty([batch * blocks, width + 1, channels]);
  gpu.dispatch(MAMBA2_INPUTS_BACKWARD, {
    constants: { WORKGROUP_SIZE, WIDTH: width, BLOCK: block },
    uniform: { batch, time, heads, headDim, keys: shared, stride, start, low, high },
    read: { x, weight, bias, tail: initialTail, stepBias, ...passed },
    write: { xGradient, stepTerms, partial, initialTailGradient },
    workgroups: Math.ceil(batch * blocks * (start + channels) / 4 / WORKGROUP_SIZE),
  });
  using terms = gpu.empty([2, rows, heads]);
  gpu.dispatch(MAMBA2_STEP_GRADIENT, {
    constants: { WORKGROUP_SIZE },
    uniform: { rows, heads, parts, stride, first: start + channels, low, high },
    read: { x, stepBias, decay, stepTerms, logDecayGradient },
    write: { xGradient, terms },
    workgroups: Math.ceil(rows * heads / WORKGROUP_SIZE),
  });
  using sums = sumAxis(gpu, terms, [2, rows, heads]);
  const stepBiasGradient = gpu.empty([heads]);
  const decayGradient = gpu.empty([heads]);
  gpu.copy(sums, stepBiasGradient, { elements: heads });
  gpu.copy(sums, decayGradient, { sourceOffset: heads });
  const weightGradient = gpu.empty([channels, width]);
  const biasGradient = bias && gpu.empty([channels]);
  gpu.dispatch(WEIGHT_SUM, {
    constants: { WORKGROUP_SIZE },
    uniform: { blocks: batch * blocks, channels, width },
    read: { partial },
    write: { weightGradient, biasGradient },
    workgroups: Math.ceil((width + 1) * channels / WORKGROUP_SIZE),
  });
  return results({
    xGradient,
    weightGradient,
    ...biasGradient && { biasGradient },
    ...initialTailGradient && { initialTailGradient },
    stepBiasGradient,
    decayGradient,
  });
}
