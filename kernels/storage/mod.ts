/**
 * How weights are stored: floats of 32 bits or 16, and groups of integers with a scale each.
 *
 * @module
 */
export * from "./storage.ts";
export {
  GROUP,
  type Matrix,
  QuantizedMatrix,
  type QuantizedType,
} from "../common/quantized_matrix.ts";
