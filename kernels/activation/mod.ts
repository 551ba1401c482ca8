/**
 * Activations, plain and gated, forward and backward.
 *
 * @module
 */
export * from "./activation.ts";
