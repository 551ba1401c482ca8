import { checkTensor, type Gpu, kernel, type Tensor } from "../gpu/mod.ts";
import rmsNormBackwardSource from "./rms_norm_backward.wgsl" with { type: "text" };
import rmsNormSource from "./rms_norm.wgsl" with { type: "text" };
import rmsNormWeightGradientSource from "./rms_norm_weight_gradient.wgsl" with { type: "text" };
import { rowTiling, sumBlocks } from "./rows.ts";

const RMS_NORM = kernel("rms_norm", rmsNormSource);
const RMS_NORM_BACKWARD = kernel("rms_norm_backward", rmsNormBackwardSource);
const RMS_NORM_WEIGHT_GRADIENT = kernel("rms_norm_weight_gradient", rmsNormWeightGradientSource);
const BLOCK = 64;

/** What {@linkcode rmsNorm} takes. */
export interface RmsNormInputs {
  /** `[..., columns]`. */
  readonly x: Tensor;
  /** `[columns]`. */
  readonly weight: Tensor;
}

/** Options of {@linkcode rmsNorm}. */
export interface RmsNormOptions {
  /** Added to the mean square; 1e-5 unless told. */
  readonly epsilon?: number;
}

/** What {@linkcode rmsNorm} returns. */
export interface RmsNormOutputs {
  /** `[..., columns]`. */
  readonly output: Tensor;
  /** 1 / RMS of each row, for the backward pass: `[...]`. */
  readonly inverseRms: Tensor;
}

/**
 * RMS norm along the last axis (Zhang & Sennrich 2019, eq. 4): `y = x / √(mean(x²) + ε) · weight`.
 *
 * @throws {RangeError} where `weight` does not have the shape of a row.
 */
export function rmsNorm(
  gpu: Gpu,
  inputs: RmsNormInputs,
  options: RmsNormOptions = {},
): RmsNormOutputs {
  const { x, weight } = inputs;
  const columns = x.shape.at(-1) ?? 1;
  const rows = columns === 0 ? 0 : x.size / columns;
  checkTensor("rmsNorm", "weight", weight, [columns]);
  const output = gpu.empty(x.shape);
  const inverseRms = gpu.empty(x.shape.slice(0, -1));
  const { lanes, rowsPerWorkgroup } = rowTiling(gpu, columns);
  gpu.dispatch(RMS_NORM, {
    constants: { LANES: lanes, ROWS: rowsPerWorkgroup, EPSILON: options.epsilon ?? 1e-5 },
    uniform: [rows, columns],
    read: { x, weight },
    write: { output, inverseRms },
    workgroups: Math.ceil(rows / rowsPerWorkgroup),
  });
  return { output, inverseRms };
}

/** What {@linkcode rmsNormBackward} takes. */
export interface RmsNormBackwardInputs extends RmsNormInputs {
  /** From the forward pass: `[...]`. */
  readonly inverseRms: Tensor;
  /** `[..., columns]`. */
  readonly outputGradient: Tensor;
}

/** What {@linkcode rmsNormBackward} returns. */
export interface RmsNormGradients {
  /** `[..., columns]`. */
  readonly xGradient: Tensor;
  /** `[columns]`. */
  readonly weightGradient: Tensor;
}

/**
 * The gradients of {@linkcode rmsNorm}.
 *
 * @throws {RangeError} where a shape does not fit `x`.
 */
export function rmsNormBackward(gpu: Gpu, inputs: RmsNormBackwardInputs): RmsNormGradients {
  const { x, weight, inverseRms, outputGradient } = inputs;
  const columns = x.shape.at(-1) ?? 1;
  const rows = columns === 0 ? 0 : x.size / columns;
  checkTensor("rmsNormBackward", "weight", weight, [columns]);
  checkTensor("rmsNormBackward", "inverseRms", inverseRms, x.shape.slice(0, -1));
  checkTensor("rmsNormBackward", "outputGradient", outputGradient, x.shape);
  const xGradient = gpu.empty(x.shape);
  const { lanes, rowsPerWorkgroup } = rowTiling(gpu, columns);
  gpu.dispatch(RMS_NORM_BACKWARD, {
    constants: { LANES: lanes, ROWS: rowsPerWorkgroup },
    uniform: [rows, columns],
    read: { x, weight, inverseRms, outputGradient },
    write: { xGradient },
    workgroups: Math.ceil(rows / rowsPerWorkgroup),
  });
  const blocks = Math.ceil(rows / BLOCK);
  using partial = gpu.empty([blocks, columns]);
  gpu.dispatch(RMS_NORM_WEIGHT_GRADIENT, {
    constants: { BLOCK },
    uniform: [rows, columns],
    read: { x, inverseRms, outputGradient },
    write: { partial },
    workgroups: [blocks, Math.ceil(columns / 64)],
  });
  return { xGradient, weightGradient: sumBlocks(gpu, partial) };
}
