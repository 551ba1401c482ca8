/**
 * How weights are stored: floats of 32 bits or 16, and groups of integers with a scale each.
 *
 * @module
 */
export * from "./storage.ts";
export {
  GROUP,
  type Matrix,
  QUANTIZED_TYPES,
  QuantizedMatrix,
  type QuantizedType,
  quantizedWords,
} from "../common/quantized_matrix.ts";
