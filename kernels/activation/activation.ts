import { ACTIVATION_KINDS, type ActivationKind } from "../common/activation_kinds.ts";
import {
  checkNames,
  checkOption,
  checkOptions,
  checkTensor,
  type Gpu,
  type Kernel,
  oneOf,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import { ACTIVATION as SHADERS } from "./shaders.ts";

const ACTIVATION = SHADERS.kernel("activation");
const ACTIVATION_BACKWARD = SHADERS.kernel("activation_backward");
const GATED_ACTIVATION = SHADERS.kernel("gated_activation");
const GATED_ACTIVATION_BACKWARD = SHADERS.kernel("gated_activation_backward");

/** Options of the activations. */
export interface ActivationOptions {
  /** Which function. */
  readonly kind: ActivationKind;
}

function run(
  gpu: Gpu,
  op: string,
  kernel: Kernel,
  options: ActivationOptions,
  read: Record<string, Tensor>,
  outputs: readonly string[],
): Tensor[] {
  checkOptions(op, options, { kind: oneOf(ACTIVATION_KINDS) });
  checkOption(op, "kind", options.kind, oneOf(ACTIVATION_KINDS));
  const [{ shape, size }] = Object.values(read);
  for (const [name, tensor] of Object.entries(read)) checkTensor(op, name, tensor, shape);
  const written = outputs.map(() => gpu.empty(shape));
  const vectors = Math.ceil(size / 4);
  gpu.dispatch(kernel, {
    constants: { KIND: ACTIVATION_KINDS.indexOf(options.kind) },
    uniform: { vectors },
    read,
    write: Object.fromEntries(outputs.map((name, i) => [name, written[i]])),
    workgroups: Math.ceil(vectors / 64),
  });
  return written;
}

/** Names of inputs; an op and its gradients may be handed the same. */
const ACTIVATION_INPUTS = ["x", "outputGradient"];

/** Names of inputs; an op and its gradients may be handed the same. */
const GATED_INPUTS = ["gate", "x", "outputGradient"];

/** What {@linkcode activation} takes. */
export interface ActivationInputs {
  /** `[...]`. */
  readonly x: Tensor;
}

/** What {@linkcode activation} and {@linkcode gatedActivation} return. */
export interface ActivationOutputs extends Disposable {
  /** The shape of `x`. */
  readonly output: Tensor;
}

/** `kind(x)`, element by element. @throws {RangeError} where the kind is unknown. */
export function activation(
  gpu: Gpu,
  inputs: ActivationInputs,
  options: ActivationOptions,
): ActivationOutputs {
  checkNames("activation", inputs, ACTIVATION_INPUTS);
  const { x } = inputs;
  const [output] = run(gpu, "activation", ACTIVATION, options, { x }, ["output"]);
  return results({ output });
}

/** What {@linkcode activationBackward} takes. */
export interface ActivationBackwardInputs extends ActivationInputs {
  /** The shape of `x`. */
  readonly outputGradient: Tensor;
}

/** What {@linkcode activationBackward} returns. */
export interface ActivationGradients extends Disposable {
  /** The shape of `x`. */
  readonly xGradient: Tensor;
}

/**
 * The gradient of {@linkcode activation}: `kind′(x) · outputGradient`; 0 where a relu has its corner.
 *
 * @throws {RangeError} where the shapes differ or the kind is unknown.
 */
export function activationBackward(
  gpu: Gpu,
  inputs: ActivationBackwardInputs,
  options: ActivationOptions,
): ActivationGradients {
  checkNames("activationBackward", inputs, ACTIVATION_INPUTS);
  const { x, outputGradient } = inputs;
  const read = { x, outputGradient };
  const [xGradient] = run(gpu, "activationBackward", ACTIVATION_BACKWARD, options, read, [
    "xGradient",
  ]);
  return results({ xGradient });
}

/** What {@linkcode gatedActivation} takes. */
export interface GatedActivationInputs {
  /** What goes through the activation: `[...]`. */
  readonly gate: Tensor;
  /** What it multiplies: the shape of `gate`. */
  readonly x: Tensor;
}

/**
 * `kind(gate) · x`: SwiGLU with `silu`, GeGLU with `gelu` (Shazeer 2020), an output gate.
 *
 * @throws {RangeError} where the shapes differ or the kind is unknown.
 */
export function gatedActivation(
  gpu: Gpu,
  inputs: GatedActivationInputs,
  options: ActivationOptions,
): ActivationOutputs {
  checkNames("gatedActivation", inputs, GATED_INPUTS);
  const { gate, x } = inputs;
  const read = { gate, x };
  const [output] = run(gpu, "gatedActivation", GATED_ACTIVATION, options, read, ["output"]);
  return results({ output });
}

/** What {@linkcode gatedActivationBackward} takes. */
export interface GatedActivationBackwardInputs extends GatedActivationInputs {
  /** The shape of `x`. */
  readonly outputGradient: Tensor;
}

/** What {@linkcode gatedActivationBackward} returns. */
export interface GatedActivationGradients extends Disposable {
  /** The shape of `gate`. */
  readonly gateGradient: Tensor;
  /** The shape of `x`. */
  readonly xGradient: Tensor;
}

/**
 * The gradients of {@linkcode gatedActivation}.
 *
 * @throws {RangeError} where the shapes differ or the kind is unknown.
 */
export function gatedActivationBackward(
  gpu: Gpu,
  inputs: GatedActivationBackwardInputs,
  options: ActivationOptions,
): GatedActivationGradients {
  checkNames("gatedActivationBackward", inputs, GATED_INPUTS);
  const { gate, x, outputGradient } = inputs;
  const [gateGradient, xGradient] = run(
    gpu,
    "gatedActivationBackward",
    GATED_ACTIVATION_BACKWARD,
    options,
    { gate, x, outputGradient },
    ["gateGradient", "xGradient"],
  );
  return results({ gateGradient, xGradient });
}
