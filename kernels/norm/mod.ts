/**
 * Normalization along the last axis.
 *
 * @module
 */
export * from "./gated_rms_norm.ts";
export * from "./gated_rms_norm_backward.ts";
export * from "./layer_norm.ts";
export * from "./rms_norm.ts";
