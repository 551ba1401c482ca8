import {
  checkNames,
  checkOptions,
  checkRank,
  checkTensor,
  type Dispatch,
  flag,
  type Gpu,
  oneOf,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import { CONVOLUTION } from "./shaders.ts";

const CAUSAL_CONVOLUTION = CONVOLUTION.kernel("causal_convolution");
const CAUSAL_CONVOLUTION_TAIL = CONVOLUTION.kernel("causal_convolution_tail");
const CAUSAL_CONVOLUTION_FOURS = CONVOLUTION.kernel("causal_convolution_fours");
const CAUSAL_CONVOLUTION_FOURS_BACKWARD = CONVOLUTION.kernel("causal_convolution_fours_backward");
const CAUSAL_CONVOLUTION_STEP = CONVOLUTION.kernel("causal_convolution_step");
const CAUSAL_CONVOLUTION_BACKWARD = CONVOLUTION.kernel("causal_convolution_backward");
const CAUSAL_CONVOLUTION_WEIGHT_GRADIENT = CONVOLUTION.kernel("causal_convolution_weight_gradient");
const CAUSAL_CONVOLUTION_WEIGHT_SUM = CONVOLUTION.kernel("causal_convolution_weight_sum");

/** Convolutions whose steps share a dispatch. */
const MOST_STEPS = 3;
const WORKGROUP_SIZE = 64;
/** Steps that one invocation of the convolution and of its input gradient computes. */
const STEPS = 8;
/** Steps that one invocation of the weight gradient sums. */
const BLOCK = 128;
/**
 * What suits a software adapter, whose loads cost as much as 60 multiplications: an invocation walks so many
 * steps of four channels, with at most so many taps in registers.
 */
const FOURS = { block: 64, taps: 8 };
/** Tensors that its kernel and that of its gradients bind. */
const [FOURS_BINDINGS, FOURS_BACKWARD_BINDINGS] = [6, 9];

/** Names of inputs; an op and its gradients may be handed the same. */
const INPUTS = ["x", "weight", "bias", "initialTail", "outputGradient", "finalTailGradient"];

/** What {@linkcode causalConvolution} takes. */
export interface CausalConvolutionInputs {
  /** `[batch, time, channels]`. */
  readonly x: Tensor;
  /** Tap `width − 1` meets the newest input, as in PyTorch's conv1d: `[channels, width]`. */
  readonly weight: Tensor;
  /** `[channels]`; left out, 0. */
  readonly bias?: Tensor;
  /** The `width − 1` inputs before the first step, the oldest first: `[batch, width − 1, channels]`; left out, 0. */
  readonly initialTail?: Tensor;
}

/** Options of {@linkcode causalConvolution}, its gradients and its step. */
export interface CausalConvolutionOptions {
  /** What the sum goes through; `"none"` by default. */
  readonly activation?: "silu" | "none";
}

/** Options of {@linkcode causalConvolutionStep} and {@linkcode causalConvolutionSteps}. */
export interface CausalConvolutionStepOptions extends CausalConvolutionOptions {
  /** Whether the tail is overwritten: `finalTail` is its memory then. @default false */
  readonly inPlace?: boolean;
}

const RULES = { activation: oneOf(["silu", "none"]) };

/** What {@linkcode causalConvolution} returns. */
export interface CausalConvolutionOutputs extends Disposable {
  /** `[batch, time, channels]`. */
  readonly output: Tensor;
  /** The last `width − 1` inputs, the oldest first: `[batch, width − 1, channels]`. */
  readonly finalTail: Tensor;
}

/**
 * The short causal depthwise convolution that Mamba, Griffin and their kin put before the recurrence:
 * `y_t = activation(bias + Σ_j weight_j · x_{t − width + 1 + j})`, a channel on its own.
 *
 * @throws {RangeError} where a shape does not fit `x` and `weight`.
 */
export function causalConvolution(
  gpu: Gpu,
  inputs: CausalConvolutionInputs,
  options: CausalConvolutionOptions = {},
): CausalConvolutionOutputs {
  checkNames("causalConvolution", inputs, INPUTS);
  checkOptions("causalConvolution", options, RULES);
  const { batch, time, channels, width } = checkInputs("causalConvolution", inputs);
  const { x, initialTail } = inputs;
  const output = gpu.empty(x.shape);
  const finalTail = gpu.empty([batch, width - 1, channels]);
  const { weight, bias } = inputs;
  if (takesFours(gpu, { batch, time, channels, width }, FOURS_BINDINGS)) {
    gpu.dispatch(CAUSAL_CONVOLUTION_FOURS, {
      ...dispatchOfFours({ batch, time, channels, width }, options),
      read: { x, tail: initialTail, weight, bias },
      write: { output, finalTail },
    });
    return results({ output, finalTail });
  }
  convolve(gpu, { x, weight, bias, initialTail }, output, options);
  gpu.dispatch(CAUSAL_CONVOLUTION_TAIL, {
    constants: { WORKGROUP_SIZE },
    uniform: { batch, time, channels, width },
    read: { x, tail: initialTail },
    write: { finalTail },
    workgroups: Math.ceil(finalTail.size / WORKGROUP_SIZE),
  });
  return results({ output, finalTail });
}

/** What {@linkcode causalConvolutionBackward} takes. */
export interface CausalConvolutionBackwardInputs extends CausalConvolutionInputs {
  /** Of the loss in each output: `[batch, time, channels]`. */
  readonly outputGradient: Tensor;
  /** Of the loss in the final tail; left out, 0: `[batch, width − 1, channels]`. */
  readonly finalTailGradient?: Tensor;
}

/** What {@linkcode causalConvolutionBackward} returns. */
export interface CausalConvolutionGradients extends Disposable {
  /** `[batch, time, channels]`. */
  readonly xGradient: Tensor;
  /** `[channels, width]`. */
  readonly weightGradient: Tensor;
  /** `[channels]`; there where a bias is. */
  readonly biasGradient?: Tensor;
  /** `[batch, width − 1, channels]`; there where an initial tail is. */
  readonly initialTailGradient?: Tensor;
}

/**
 * The gradients of {@linkcode causalConvolution}, right for sequences shorter than the convolution too.
 *
 * @throws {RangeError} where a shape does not fit `x` and `weight`.
 */
export function causalConvolutionBackward(
  gpu: Gpu,
  inputs: CausalConvolutionBackwardInputs,
  options: CausalConvolutionOptions = {},
): CausalConvolutionGradients {
  checkNames("causalConvolutionBackward", inputs, INPUTS);
  const op = "causalConvolutionBackward";
  checkOptions(op, options, RULES);
  const { batch, time, channels, width } = checkInputs(op, inputs);
  const { x, weight, bias, initialTail, outputGradient, finalTailGradient } = inputs;
  const tailShape = [batch, width - 1, channels];
  checkTensor(op, "outputGradient", outputGradient, x.shape);
  if (finalTailGradient) checkTensor(op, "finalTailGradient", finalTailGradient, tailShape);

  const xGradient = gpu.empty(x.shape);
  const initialTailGradient = initialTail && gpu.empty(tailShape);
  const weightGradient = gpu.empty([channels, width]);
  const biasGradient = bias && gpu.empty([channels]);
  const sumParts = (partial: Tensor, blocks: number): void =>
    gpu.dispatch(CAUSAL_CONVOLUTION_WEIGHT_SUM, {
      constants: { WORKGROUP_SIZE },
      uniform: { blocks, channels, width },
      read: { partial },
      write: { weightGradient, biasGradient },
      workgroups: Math.ceil((width + 1) * channels / WORKGROUP_SIZE),
    });
  const gradients = results({
    xGradient,
    weightGradient,
    ...biasGradient && { biasGradient },
    ...initialTailGradient && { initialTailGradient },
  });
  if (takesFours(gpu, { batch, time, channels, width }, FOURS_BACKWARD_BINDINGS)) {
    const blocks = batch * Math.ceil(time / FOURS.block);
    using partial = gpu.empty([blocks, width + 1, channels]);
    gpu.dispatch(CAUSAL_CONVOLUTION_FOURS_BACKWARD, {
      ...dispatchOfFours({ batch, time, channels, width }, options),
      read: { x, tail: initialTail, weight, bias, outputGradient, finalTailGradient },
      write: { xGradient, partial, initialTailGradient },
    });
    sumParts(partial, blocks);
    return gradients;
  }
  using zGradient = options.activation === "silu"
    ? gpu.empty(x.shape)
    : outputGradient.reshape(x.shape);
  if (options.activation === "silu") convolve(gpu, inputs, zGradient);

  gpu.dispatch(CAUSAL_CONVOLUTION_BACKWARD, {
    constants: { WORKGROUP_SIZE },
    uniform: { batch, time, channels, width },
    read: { weight, zGradient, finalTailGradient },
    write: { xGradient, initialTailGradient },
    workgroups: Math.ceil(channels / WORKGROUP_SIZE) * Math.ceil((width - 1 + time) / STEPS) *
      batch,
  });

  const blocks = Math.ceil(time / BLOCK);
  using partial = gpu.empty([batch, blocks, width + 1, channels]);
  gpu.dispatch(CAUSAL_CONVOLUTION_WEIGHT_GRADIENT, {
    constants: { WORKGROUP_SIZE, BLOCK },
    uniform: { batch, time, channels, width },
    read: { x, tail: initialTail, zGradient },
    write: { partial },
    workgroups: Math.ceil(channels / WORKGROUP_SIZE) * Math.ceil(width / 4) * batch * blocks,
  });
  sumParts(partial, batch * blocks);
  return gradients;
}

/** Whether four channels are one invocation's. */
function takesFours(
  gpu: Gpu,
  { batch, time, channels, width }: Extents,
  bindings: number,
): boolean {
  return gpu.adapter.software && channels % 4 === 0 && width > 1 && width <= FOURS.taps &&
    batch * time * channels > 0 &&
    gpu.device.limits.maxStorageBuffersPerShaderStage >= bindings;
}

function dispatchOfFours(
  { batch, time, channels, width }: Extents,
  { activation }: CausalConvolutionOptions,
): Pick<Dispatch, "constants" | "uniform" | "workgroups"> {
  const { block } = FOURS;
  const invocations = batch * Math.ceil(time / block) * channels / 4;
  return {
    constants: { WORKGROUP_SIZE, SILU: activation === "silu", WIDTH: width, BLOCK: block },
    uniform: { batch, time, fours: channels / 4 },
    workgroups: Math.ceil(invocations / WORKGROUP_SIZE),
  };
}

/** What {@linkcode causalConvolutionStep} takes. */
export interface CausalConvolutionStepInputs {
  /** `[batch, 1, channels]`. */
  readonly x: Tensor;
  /** `[channels, width]`. */
  readonly weight: Tensor;
  /** `[channels]`; left out, 0. */
  readonly bias?: Tensor;
  /** The last `width − 1` inputs, the oldest first: `[batch, width − 1, channels]`. */
  readonly tail: Tensor;
}

/**
 * One step of {@linkcode causalConvolution}: its output is `[batch, 1, channels]`.
 *
 * @throws {RangeError} where a shape does not fit `x` and `weight`, or `x` has more than one step.
 */
export function causalConvolutionStep(
  gpu: Gpu,
  inputs: CausalConvolutionStepInputs,
  options: CausalConvolutionStepOptions = {},
): CausalConvolutionOutputs {
  const op = "causalConvolutionStep";
  checkOptions(op, options, { ...RULES, inPlace: flag });
  return step(gpu, [{ ...inputs, ...checkStep(op, inputs) }], options)[0];
}

/**
 * One step of several convolutions of one width, for the fewest dispatches: three in one, where the
 * adapter's bindings allow.
 *
 * @throws {RangeError} where a shape does not fit, or they differ in batch or width.
 */
export function causalConvolutionSteps(
  gpu: Gpu,
  inputs: readonly CausalConvolutionStepInputs[],
  options: CausalConvolutionStepOptions = {},
): CausalConvolutionOutputs[] {
  const op = "causalConvolutionSteps";
  checkOptions(op, options, { ...RULES, inPlace: flag });
  const checked = inputs.map((each) => ({ ...each, ...checkStep(op, each) }));
  const other = checked.find(({ batch, width }) =>
    batch !== checked[0].batch || width !== checked[0].width
  );
  if (other) {
    throw new RangeError(
      `Cannot run ${op}() as all must have one batch and one width: current weights have shapes [${
        checked[0].weight.shape
      }] and [${other.weight.shape}]`,
    );
  }
  const { maxStorageBuffersPerShaderStage: bindings } = gpu.device.limits;
  const most = Math.max(1, Math.min(MOST_STEPS, Math.floor(bindings / 6)));
  const outputs: CausalConvolutionOutputs[] = [];
  for (let start = 0; start < checked.length; start += most) {
    outputs.push(...step(gpu, checked.slice(start, start + most), options));
  }
  return outputs;
}

function checkStep(op: string, inputs: CausalConvolutionStepInputs): Extents {
  checkNames(op, inputs, ["x", "weight", "bias", "tail"]);
  const { x, tail } = inputs;
  const extents = checkInputs(op, inputs);
  const { batch, channels, width } = extents;
  checkTensor(op, "x", x, [batch, 1, channels]);
  checkTensor(op, "tail", tail, [batch, width - 1, channels]);
  return extents;
}

function step(
  gpu: Gpu,
  inputs: readonly (CausalConvolutionStepInputs & Extents)[],
  options: CausalConvolutionStepOptions,
): CausalConvolutionOutputs[] {
  const [{ batch, width }] = inputs;
  const { inPlace = false } = options;
  const outputs = inputs.map(({ x, tail }) => ({
    output: gpu.empty(x.shape),
    finalTail: inPlace ? tail.reshape(tail.shape) : gpu.empty(tail.shape),
  }));
  const numbered = <Value extends object, Name extends keyof Value & string>(
    values: readonly Value[],
    names: readonly Name[],
  ): Record<string, Value[Name]> =>
    Object.fromEntries(
      values.flatMap((value, i) => names.map((name) => [`${name}${i}`, value[name]])),
    );
  const channels = inputs.map(({ channels }) => channels);
  gpu.dispatch(CAUSAL_CONVOLUTION_STEP, {
    constants: {
      WORKGROUP_SIZE,
      SILU: options.activation === "silu",
      CONVOLUTIONS: inputs.length,
    },
    uniform: {
      batch,
      width,
      channels0: channels[0],
      channels1: channels[1] ?? 0,
      channels2: channels[2] ?? 0,
    },
    read: numbered(inputs, ["x", "weight", "bias", ...(inPlace ? [] : ["tail" as const])]),
    write: numbered(outputs, ["output", "finalTail"]),
    workgroups: Math.ceil(batch * channels.reduce((sum, each) => sum + each, 0) / WORKGROUP_SIZE),
  });
  return outputs.map((each) => results(each));
}

interface Extents {
  batch: number;
  time: number;
  channels: number;
  width: number;
}

function checkInputs(op: string, inputs: CausalConvolutionInputs): Extents {
  const { x, weight, bias, initialTail } = inputs;
  checkRank(op, "x", x, ["batch", "time", "channels"]);
  checkRank(op, "weight", weight, ["channels", "width"]);
  const [batch, time, channels] = x.shape;
  const width = Math.max(1, weight.shape[1]);
  checkTensor(op, "x", x, x.shape);
  checkTensor(op, "weight", weight, [channels, width]);
  if (bias) checkTensor(op, "bias", bias, [channels]);
  if (initialTail) checkTensor(op, "initialTail", initialTail, [batch, width - 1, channels]);
  return { batch, time, channels, width };
}

/** The convolution into `output`; given the output's gradient, the gradient of what SiLU takes. */
function convolve(
  gpu: Gpu,
  inputs: CausalConvolutionInputs & { outputGradient?: Tensor },
  output: Tensor,
  options: CausalConvolutionOptions = {},
): void {
  const { x, weight, bias, initialTail, outputGradient } = inputs;
  const [batch, time, channels] = x.shape;
  gpu.dispatch(CAUSAL_CONVOLUTION, {
    constants: { WORKGROUP_SIZE, SILU: options.activation === "silu" },
    uniform: { batch, time, channels, width: weight.shape[1] },
    read: { x, weight, bias, tail: initialTail, outputGradient },
    write: { output },
    workgroups: Math.ceil(channels / WORKGROUP_SIZE) * Math.ceil(time / STEPS) * batch,
  });
}
