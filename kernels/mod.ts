/**
 * The kernels: one module a family of operations, forward and backward, over the GPU layer.
 *
 * @module
 */
export * from "./delta_rule/mod.ts";
export * from "./gpu/mod.ts";
export * from "./norm/mod.ts";
