/**
 * Activations, plain and gated, forward and backward.
 *
 * @module
 */
export * from "./activation.ts";
export { ACTIVATION_KINDS, type ActivationKind } from "../common/activation_kinds.ts";
export * from "./softplus_decay.ts";
