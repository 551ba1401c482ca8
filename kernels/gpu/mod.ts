/**
 * The GPU layer: a device, tensors with an explicit lifetime, kernels with cached pipelines and bind
 * groups, a profiler. The only code that calls WebGPU.
 *
 * @module
 */
export {
  aboveZero,
  anything,
  belowOne,
  checkNames,
  checkOption,
  checkOptions,
  checkRank,
  checkTensor,
  finite,
  flag,
  FLOATS,
  integer,
  integers,
  notNegative,
  oneOf,
  type OptionRule,
  positive,
  positiveInteger,
} from "./check.ts";
export { type Adapter, adapterIdentity } from "./device.ts";
export { DeviceLostError, KernelError } from "./errors.ts";
export { Gpu } from "./gpu.ts";
export { type Dispatch, LOOP_ITERATIONS } from "./kernel.ts";
export { type FindTuning, type GpuOptions, openGpu } from "./open.ts";
export { type Kernel, type ShaderFamily, shaders } from "./shaders.ts";
export type { Settings } from "./linker/linker.ts";
export type { MemoryUse } from "./pool.ts";
export type { KernelTime } from "./profiler.ts";
export { Recording } from "./recording.ts";
export { type Held, results } from "./results.ts";
export {
  type Allocation,
  type AllocationPlan,
  type AnyTensor,
  BYTES_PER_ELEMENT,
  type DataType,
  elementCount,
  type Elements,
  type FloatType,
  Tensor,
  type TensorOwner,
} from "./tensor.ts";
export {
  blockUntilDone,
  type CopyWork,
  copyWork,
  measureCopyBandwidth,
  timeWork,
} from "./timing.ts";
export {
  Choices,
  type Chooser,
  definedTunables,
  type NotedProblem,
  sizeClass,
  type Tunable,
  tunable,
  type TunableTable,
  type TunableValues,
  type TunedProblem,
  type Tuning,
} from "./tuning.ts";
