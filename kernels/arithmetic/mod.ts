/**
 * Element-wise arithmetic with broadcasting, its reductions, and copies of columns, rows and time steps.
 *
 * @module
 */
export {
  add,
  type BroadcastInputs,
  type BroadcastOutputs,
  multiply,
  multiplyBackward,
  type MultiplyBackwardInputs,
  type MultiplyGradients,
  scale,
  type ScaleInputs,
  type ScaleOptions,
  sumTo,
  type SumToInputs,
  type SumToOptions,
  type SumToOutputs,
} from "./broadcast.ts";
export * from "./copies.ts";
export * from "./multiply_add.ts";
export * from "./sum_parts.ts";
