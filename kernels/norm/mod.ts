/**
 * Normalization along the last axis.
 *
 * @module
 */
export * from "./rms_norm.ts";
