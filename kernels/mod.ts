/**
 * The kernels: one module a family of operations, forward and backward, over the GPU layer.
 *
 * @module
 */
export * from "./gpu/mod.ts";
export * from "./linear_attention/mod.ts";
export * from "./norm/mod.ts";
