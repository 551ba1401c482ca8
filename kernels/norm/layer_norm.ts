import { sumRows } from "../common/sum_axis.ts";
import {
  checkNames,
  checkOptions,
  checkTensor,
  type Gpu,
  notNegative,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import { BLOCK, columnWorkgroup, laneForm, rowForm, statisticOf } from "./rows.ts";
import { NORM } from "./shaders.ts";

const LAYER_NORM = NORM.kernel("layer_norm");
const LAYER_NORM_BACKWARD = NORM.kernel("layer_norm_backward", { Sum: "vec2f" });
const LAYER_NORM_PARAMETER_GRADIENTS = NORM.kernel("layer_norm_parameter_gradients");

/** Names of inputs; an op and its gradients may be handed the same, with what the op gave. */
const INPUTS = ["x", "weight", "bias", "mean", "inverseDeviation", "output", "outputGradient"];

/** What {@linkcode layerNorm} takes. */
export interface LayerNormInputs {
  /** `[..., columns]`. */
  readonly x: Tensor;
  /** `[columns]`. */
  readonly weight: Tensor;
  /** `[columns]`; left out, 0. */
  readonly bias?: Tensor;
}

/** Options of {@linkcode layerNorm}. */
export interface LayerNormOptions {
  /** Added to the variance. @default 1e-5 */
  readonly epsilon?: number;
}

/** What {@linkcode layerNorm} returns. */
export interface LayerNormOutputs extends Disposable {
  /** `[..., columns]`. */
  readonly output: Tensor;
  /** The mean of each row, for the backward pass: `[...]`. */
  readonly mean: Tensor;
  /** 1 / √(variance + ε) of each row, for the backward pass: `[...]`. */
  readonly inverseDeviation: Tensor;
}

/**
 * Layer norm along the last axis (Ba et al. 2016, eq. 4):
 * `y = (x − mean(x)) / √(var(x) + ε) · weight + bias`, the variance being that of the row itself.
 *
 * @throws {RangeError} where `weight` or `bias` does not have the shape of a row.
 */
export function layerNorm(
  gpu: Gpu,
  inputs: LayerNormInputs,
  options: LayerNormOptions = {},
): LayerNormOutputs {
  checkNames("layerNorm", inputs, INPUTS);
  const { x, weight, bias } = inputs;
  checkOptions("layerNorm", options, { epsilon: notNegative });
  const { epsilon = 1e-5 } = options;
  const width = x.shape.at(-1) ?? 1;
  const rows = width === 0 ? 0 : x.size / width;
  checkTensor("layerNorm", "x", x, x.shape);
  checkTensor("layerNorm", "weight", weight, [width]);
  if (bias) checkTensor("layerNorm", "bias", bias, [width]);
  const output = gpu.empty(x.shape);
  const mean = statisticOf(gpu, x, 0);
  const inverseDeviation = statisticOf(gpu, x, 1 / Math.sqrt(epsilon));
  const { form, columns } = laneForm(gpu, width);
  gpu.dispatch(LAYER_NORM, {
    constants: { ...form, EPSILON: epsilon },
    uniform: { rows, columns, width },
    read: { x, weight, bias },
    write: { output, mean, inverseDeviation },
    workgroups: Math.ceil(rows / form.ROWS),
  });
  return results({ output, mean, inverseDeviation });
}

/** What {@linkcode layerNormBackward} takes. */
export interface LayerNormBackwardInputs extends LayerNormInputs {
  /** From the forward pass: `[...]`. */
  readonly mean: Tensor;
  /** From the forward pass: `[...]`. */
  readonly inverseDeviation: Tensor;
  /** `[..., columns]`. */
  readonly outputGradient: Tensor;
}

/** What {@linkcode layerNormBackward} returns. */
export interface LayerNormGradients extends Disposable {
  /** `[..., columns]`. */
  readonly xGradient: Tensor;
  /** `[columns]`. */
  readonly weightGradient: Tensor;
  /** `[columns]`, where there is a bias. */
  readonly biasGradient?: Tensor;
}

/**
 * The gradients of {@linkcode layerNorm}.
 *
 * @throws {RangeError} where a shape does not fit `x`.
 */
export function layerNormBackward(gpu: Gpu, inputs: LayerNormBackwardInputs): LayerNormGradients {
  checkNames("layerNormBackward", inputs, INPUTS);
  const { x, weight, bias, mean, inverseDeviation, outputGradient } = inputs;
  const width = x.shape.at(-1) ?? 1;
  const rows = width === 0 ? 0 : x.size / width;
  checkTensor("layerNormBackward", "x", x, x.shape);
  checkTensor("layerNormBackward", "weight", weight, [width]);
  if (bias) checkTensor("layerNormBackward", "bias", bias, [width]);
  checkTensor("layerNormBackward", "mean", mean, x.shape.slice(0, -1));
  checkTensor("layerNormBackward", "inverseDeviation", inverseDeviation, x.shape.slice(0, -1));
  checkTensor("layerNormBackward", "outputGradient", outputGradient, x.shape);
  const xGradient = gpu.empty(x.shape);
  const { form, columns } = laneForm(gpu, width);
  gpu.dispatch(LAYER_NORM_BACKWARD, {
    constants: { ...form },
    uniform: { rows, columns, width },
    read: { x, weight, mean, inverseDeviation, outputGradient },
    write: { xGradient },
    workgroups: Math.ceil(rows / form.ROWS),
  });
  const blocks = Math.ceil(rows / BLOCK);
  using weightPartial = gpu.empty([blocks, width]);
  using biasPartial = gpu.empty([blocks, width]);
  const WORKGROUP_SIZE = columnWorkgroup(columns);
  gpu.dispatch(LAYER_NORM_PARAMETER_GRADIENTS, {
    constants: { ...rowForm(width).form, WORKGROUP_SIZE, BLOCK },
    uniform: { rows, columns },
    read: { x, mean, inverseDeviation, outputGradient },
    write: { weightPartial, biasPartial },
    workgroups: [blocks, Math.ceil(columns / WORKGROUP_SIZE)],
  });
  return results({
    xGradient,
    weightGradient: sumRows(gpu, weightPartial),
    biasGradient: bias && sumRows(gpu, biasPartial),
  });
}
