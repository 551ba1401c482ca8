/**
 * Matrix products, with transposes and batches.
 *
 * @module
 */
export { matmul, type MatmulInputs, type MatmulOptions, type MatmulOutputs } from "./matmul.ts";
export { type MatmulAlgorithm } from "./tiling.ts";
