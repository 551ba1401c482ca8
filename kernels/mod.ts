/**
 * The kernels: one module a family of operations, forward and backward, over the GPU layer.
 *
 * @module
 */
export * from "./activation/mod.ts";
export * from "./arithmetic/mod.ts";
export * from "./attention/mod.ts";
export * from "./convolution/mod.ts";
export * from "./delta_rule/mod.ts";
export * from "./embedding/mod.ts";
export * from "./gpu/mod.ts";
export * from "./loss/mod.ts";
export * from "./matmul/mod.ts";
export * from "./linear_attention/mod.ts";
export * from "./norm/mod.ts";
export * from "./optimizer/mod.ts";
export * from "./position/mod.ts";
export * from "./sampling/mod.ts";
export * from "./scan/mod.ts";
export * from "./storage/mod.ts";
