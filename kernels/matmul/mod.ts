/**
 * Matrix products, with transposes and batches.
 *
 * @module
 */
export { matmul, type MatmulInputs, type MatmulOptions, type MatmulOutputs } from "./matmul.ts";
export { type MatmulParts, matmulParts, type MatmulPartsInputs } from "./matmul_parts.ts";
export { isFewRows, type MatmulAlgorithm } from "./tiling.ts";
export {
  project,
  type ProjectInputs,
  type Projection,
  type ProjectOptions,
  type ProjectOutputs,
} from "./project.ts";
