/**
 * How well does a long-sequence model model long sequences? Kernels, models and measurements on
 * Deno's own WebGPU.
 *
 * @module
 */
export * from "./kernels/mod.ts";
