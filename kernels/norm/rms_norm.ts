import { sumRows } from "../common/sum_axis.ts";
import {
  anything,
  checkNames,
  checkOptions,
  checkTensor,
  flag,
  type Gpu,
  notNegative,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import {
  BLOCK,
  columnWorkgroup,
  heldRun,
  HOLDERS,
  isHeld,
  laneForm,
  rowForm,
  statisticOf,
} from "./rows.ts";
import { NORM } from "./shaders.ts";

const RMS_NORM = NORM.kernel("rms_norm");
const RMS_NORM_BACKWARD = NORM.kernel("rms_norm_backward");
const RMS_NORM_BACKWARD_REGISTER = NORM.kernel("rms_norm_backward_register");
const RMS_NORM_REGISTER = NORM.kernel("rms_norm_register");
const RMS_NORM_WEIGHT_GRADIENT = NORM.kernel("rms_norm_weight_gradient");

/** Names of inputs; an op and its gradients may be handed the same, with what the op gave. */
const INPUTS = ["x", "weight", "inverseRms", "output", "outputGradient"];

/** What {@linkcode rmsNorm} takes. */
export interface RmsNormInputs {
  /** `[..., columns]`. */
  readonly x: Tensor;
  /** `[columns]`; or `[groups * columns]`, one for each group where `x` is `[..., groups, columns]`. */
  readonly weight: Tensor;
}

/** How many weights of a row there are. @throws {RangeError} where they fit neither rows nor groups. */
function groupCount(op: string, { x, weight }: RmsNormInputs, columns: number): number {
  const groups = x.shape.at(-2) ?? 1;
  const grouped = weight.size !== columns && weight.size === groups * columns;
  checkTensor(op, "x", x, x.shape);
  checkTensor(op, "weight", weight, [grouped ? groups * columns : columns]);
  return grouped ? groups : 1;
}

/** Options of {@linkcode rmsNorm}. */
export interface RmsNormOptions {
  /** Added to the mean square. @default 1e-5 */
  readonly epsilon?: number;
}

/** What {@linkcode rmsNorm} returns. */
export interface RmsNormOutputs extends Disposable {
  /** `[..., columns]`. */
  readonly output: Tensor;
  /** 1 / RMS of each row, for the backward pass: `[...]`. */
  readonly inverseRms: Tensor;
}

/**
 * RMS norm along the last axis (Zhang & Sennrich 2019, eq. 4): `y = x / √(mean(x²) + ε) · weight`.
 * With a weight for each group, rows of `[..., groups, columns]` are normalized by themselves and each
 * is multiplied by its group's own weight (Mamba-2's grouped norm, norms per head).
 *
 * @throws {RangeError} where `weight` has the shape neither of a row nor of a row of groups.
 */
export function rmsNorm(
  gpu: Gpu,
  inputs: RmsNormInputs,
  options: RmsNormOptions = {},
): RmsNormOutputs {
  checkNames("rmsNorm", inputs, INPUTS);
  const { x, weight } = inputs;
  checkOptions("rmsNorm", options, { epsilon: notNegative });
  const { epsilon = 1e-5 } = options;
  const width = x.shape.at(-1) ?? 1;
  const rows = width === 0 ? 0 : x.size / width;
  const groups = groupCount("rmsNorm", inputs, width);
  const output = gpu.empty(x.shape);
  const inverseRms = statisticOf(gpu, x, 1 / Math.sqrt(epsilon));
  if (groups === 1 && isHeld(gpu, width)) {
    const run = heldRun(rows, { sums: false });
    gpu.dispatch(RMS_NORM_REGISTER, {
      constants: { WORKGROUP_SIZE: HOLDERS, COLUMNS: width / 4, EPSILON: epsilon },
      uniform: { rows, run },
      read: { x, weight },
      write: { output, inverseRms },
      workgroups: Math.ceil(rows / run / HOLDERS),
    });
    return results({ output, inverseRms });
  }
  const { form, columns } = laneForm(gpu, width);
  gpu.dispatch(RMS_NORM, {
    constants: { ...form, EPSILON: epsilon },
    uniform: { rows, columns, width, groups },
    read: { x, weight },
    write: { output, inverseRms },
    workgroups: Math.ceil(rows / form.ROWS),
  });
  return results({ output, inverseRms });
}

/** What {@linkcode rmsNormBackward} takes. */
export interface RmsNormBackwardInputs extends RmsNormInputs {
  /** From the forward pass: `[...]`. */
  readonly inverseRms: Tensor;
  /** `[..., columns]`. */
  readonly outputGradient: Tensor;
}

/** Options of {@linkcode rmsNormBackward}. */
export interface RmsNormBackwardOptions {
  /** `[..., columns]`, which the gradient of `x` is added to; it is `xGradient` then. @default none */
  readonly accumulateInto?: Tensor;
  /** Whether the gradient of the weight is left in parts, for `sumParts()`. @default false */
  readonly inParts?: boolean;
}

/** What {@linkcode rmsNormBackward} returns. */
export interface RmsNormGradients extends Disposable {
  /** `[..., columns]`; the tensor of `accumulateInto` where there is one. */
  readonly xGradient: Tensor;
  /** The shape of `weight`; `[parts, ...]` in parts. */
  readonly weightGradient: Tensor;
}

/**
 * The gradients of {@linkcode rmsNorm}.
 *
 * @throws {RangeError} where a shape does not fit `x`.
 */
export function rmsNormBackward(
  gpu: Gpu,
  inputs: RmsNormBackwardInputs,
  options: RmsNormBackwardOptions = {},
): RmsNormGradients {
  checkNames("rmsNormBackward", inputs, INPUTS);
  checkOptions("rmsNormBackward", options, { accumulateInto: anything, inParts: flag });
  const { accumulateInto, inParts = false } = options;
  const { x, weight, inverseRms, outputGradient } = inputs;
  const width = x.shape.at(-1) ?? 1;
  const rows = width === 0 ? 0 : x.size / width;
  const groups = groupCount("rmsNormBackward", inputs, width);
  checkTensor("rmsNormBackward", "inverseRms", inverseRms, x.shape.slice(0, -1));
  checkTensor("rmsNormBackward", "outputGradient", outputGradient, x.shape);
  if (accumulateInto !== undefined) {
    checkTensor("rmsNormBackward", "accumulateInto", accumulateInto, x.shape);
  }
  const xGradient = accumulateInto ?? gpu.empty(x.shape);
  const ACCUMULATE = accumulateInto !== undefined;
  if (groups === 1 && isHeld(gpu, width)) {
    const run = heldRun(rows, { sums: true });
    const blocks = Math.ceil(rows / run);
    const partial = gpu.empty([blocks, width]);
    gpu.dispatch(RMS_NORM_BACKWARD_REGISTER, {
      constants: { WORKGROUP_SIZE: HOLDERS, COLUMNS: width / 4, ACCUMULATE },
      uniform: { rows, run },
      read: { x, weight, inverseRms, outputGradient },
      write: { xGradient, partial },
      workgroups: Math.ceil(blocks / HOLDERS),
    });
    return results({ xGradient, weightGradient: weightSum(gpu, partial, inParts) });
  }
  const { form, columns } = laneForm(gpu, width);
  gpu.dispatch(RMS_NORM_BACKWARD, {
    constants: { ...form, ACCUMULATE },
    uniform: { rows, columns, width, groups },
    read: { x, weight, inverseRms, outputGradient },
    write: { xGradient },
    workgroups: Math.ceil(rows / form.ROWS),
  });
  const blocks = Math.ceil(rows / groups / BLOCK);
  const partial = gpu.empty([blocks, groups * width]);
  const WORKGROUP_SIZE = columnWorkgroup(groups * columns);
  gpu.dispatch(RMS_NORM_WEIGHT_GRADIENT, {
    constants: { ...rowForm(width).form, WORKGROUP_SIZE, BLOCK },
    uniform: { rows: rows / groups, columns, groups },
    read: { x, inverseRms, outputGradient },
    write: { partial },
    workgroups: [blocks, Math.ceil(groups * columns / WORKGROUP_SIZE)],
  });
  return results({ xGradient, weightGradient: weightSum(gpu, partial, inParts) });
}

/** The sum of a weight's gradient over its parts, which it takes; or these. */
function weightSum(gpu: Gpu, partial: Tensor, inParts: boolean): Tensor {
  if (inParts) return partial;
  using parts = partial;
  return sumRows(gpu, parts);
}
