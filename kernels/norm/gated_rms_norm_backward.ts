import { sumRows } from "../common/sum_axis.ts";
import { ACTIVATION_KINDS } from "../common/activation_kinds.ts";
import {
  checkNames,
  checkOptions,
  checkTensor,
  flag,
  type Gpu,
  notNegative,
  oneOf,
  positiveInteger,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import type { GatedRmsNormInputs, GatedRmsNormOptions } from "./gated_rms_norm.ts";
import { heldRun, HOLDERS, isHeld } from "./rows.ts";
import { NORM } from "./shaders.ts";

const GATED_RMS_NORM_BACKWARD = NORM.kernel("gated_rms_norm_backward");
const NAMES = ["x", "weight", "gate", "values", "skip", "outputGradient"];
/** Tensors that the kernel binds. */
const BINDINGS = 11;

/** What {@linkcode gatedRmsNormBackward} takes; the gate is of the channels alone, `[..., channels]`. */
export interface GatedRmsNormBackwardInputs extends GatedRmsNormInputs {
  /** `[..., channels]`. */
  readonly outputGradient: Tensor;
}

/** Options of {@linkcode gatedRmsNormBackward}: those of the forward pass, and one of its own. */
export interface GatedRmsNormBackwardOptions extends Omit<GatedRmsNormOptions, "gateStart"> {
  /** Whether the gradients of the weight and of the skip are left in parts, for `sumParts()`. @default false */
  readonly inParts?: boolean;
}

const RULES = {
  groups: positiveInteger,
  epsilon: notNegative,
  activation: oneOf(ACTIVATION_KINDS),
  gateFirst: flag,
  inParts: flag,
};

/** What {@linkcode gatedRmsNormBackward} returns: a gradient for each input that was given. */
export interface GatedRmsNormGradients extends Disposable {
  /** `[..., channels]`. */
  readonly xGradient: Tensor;
  /** The shape of `weight`; `[parts, ...]` in parts. */
  readonly weightGradient?: Tensor;
  /** `[..., channels]`. */
  readonly gateGradient?: Tensor;
  /** `[..., channels]`. */
  readonly valuesGradient?: Tensor;
  /** `[heads]`; `[parts, heads]` in parts. */
  readonly skipGradient?: Tensor;
}

/**
 * Whether {@linkcode gatedRmsNormBackward} takes such inputs: on a software adapter, groups of up to 64
 * channels, a multiple of 4, that have whole heads, these too of a multiple of 4, and a gate of the
 * channels alone.
 *
 * @throws {RangeError} where a name is not an input's or an option's, or an option's value is not what it
 * must be.
 */
export function hasGatedRmsNormBackward(
  gpu: Gpu,
  inputs: GatedRmsNormInputs,
  options: GatedRmsNormBackwardOptions = {},
): boolean {
  checkOptions("hasGatedRmsNormBackward", options, RULES);
  checkNames("hasGatedRmsNormBackward", inputs, NAMES);
  const { x, gate, skip } = inputs;
  const { groups = 1 } = options;
  const channels = x.shape.at(-1) ?? 1;
  const heads = skip?.size ?? groups;
  return channels % groups === 0 && isHeld(gpu, channels / groups) && heads % groups === 0 &&
    heads > 0 && channels % (4 * heads) === 0 && (gate?.shape.at(-1) ?? channels) === channels &&
    gpu.device.limits.maxStorageBuffersPerShaderStage >= BINDINGS;
}

/**
 * The gradients of `gatedRmsNorm()`, which makes anew what it normed, in one pass.
 *
 * @throws {RangeError} where a shape or an option does not fit, or {@linkcode hasGatedRmsNormBackward} says
 * no.
 */
export function gatedRmsNormBackward(
  gpu: Gpu,
  inputs: GatedRmsNormBackwardInputs,
  options: GatedRmsNormBackwardOptions = {},
): GatedRmsNormGradients {
  const op = "gatedRmsNormBackward";
  checkOptions(op, options, RULES);
  checkNames(op, inputs, NAMES);
  const { x, weight, gate, values, skip, outputGradient } = inputs;
  const { groups = 1, epsilon = 1e-5, gateFirst = false, activation = "silu" } = options;
  const { inParts = false } = options;
  const channels = x.shape.at(-1) ?? 1;
  const refuse = (what: string): never => {
    throw new RangeError(`Cannot run ${op}() as ${what}`);
  };
  checkTensor(op, "x", x, x.shape);
  checkTensor(op, "outputGradient", outputGradient, x.shape);
  if (gate) checkTensor(op, "gate", gate, x.shape);
  if ((values === undefined) !== (skip === undefined)) {
    refuse("values and skip come together: give both, or neither");
  }
  if (values) checkTensor(op, "values", values, x.shape);
  if (!hasGatedRmsNormBackward(gpu, inputs, options)) {
    refuse(
      `groups must have up to 64 channels and whole heads, each a multiple of 4, on a software adapter: current numbers are ${channels} channels, ${groups} groups and ${
        skip?.size ?? groups
      } heads; the gradients of the norm and of its gate are there on their own`,
    );
  }
  const width = channels / groups;
  const own = weight?.size === channels;
  if (weight) checkTensor(op, "weight", weight, [own ? channels : width]);
  if (skip) checkTensor(op, "skip", skip, [skip.size]);
  const tokens = x.size / channels;
  const run = heldRun(tokens * groups, { sums: true });
  const runs = Math.ceil(tokens / run);
  const gradients = {
    xGradient: gpu.empty(x.shape),
    gateGradient: gate && gpu.empty(x.shape),
    valuesGradient: values && gpu.empty(x.shape),
  };
  const weightParts = weight && gpu.empty([own ? runs : runs * groups, weight.size]);
  const skipParts = skip && gpu.empty([runs, skip.size]);
  gpu.dispatch(GATED_RMS_NORM_BACKWARD, {
    constants: {
      WORKGROUP_SIZE: HOLDERS,
      COLUMNS: width / 4,
      RUN: channels / (skip?.size ?? groups) / 4,
      GROUPS: groups,
      WEIGHT_GROUPS: own ? groups : 1,
      GATE_FIRST: gateFirst && gate !== undefined,
      KIND: ACTIVATION_KINDS.indexOf(activation),
    },
    uniform: { tokens, run, epsilon },
    read: { x, weight, gate, values, skip, outputGradient },
    write: { ...gradients, weightParts, skipParts },
    workgroups: Math.ceil(runs * groups / HOLDERS),
  });
  return results({
    ...gradients,
    weightGradient: weightParts && sumOf(gpu, weightParts, inParts),
    skipGradient: skipParts && sumOf(gpu, skipParts, inParts),
  });
}

/** The sum of parts, which it takes; or these. */
function sumOf(gpu: Gpu, parts: Tensor, inParts: boolean): Tensor {
  if (inParts) return parts;
  using taken = parts;
  return sumRows(gpu, taken);
}
