/**
 * How well does a long-sequence model model long sequences? Kernels, models and measurements on
 * Deno's own WebGPU: chunked parallel scans, linear-attention recurrences and flash-style attention
 * in hand-written WGSL, forward and backward; the models built from them; tasks and sweeps that ask
 * them the same question at ever greater lengths.
 *
 * ```ts
 * import { loadZooModel, openGpu } from "@lengthwise/lengthwise";
 *
 * await using gpu = await openGpu();
 * using model = await loadZooModel(gpu, "mamba2-text");
 * const prompt = new TextEncoder().encode("Call me Ish");
 * const next = await model.generate(prompt, { maxTokens: 4 });
 * console.log(new TextDecoder().decode(Uint8Array.from(next)), model.stateBytes(1e6));
 * ```
 *
 * This is what most programs need. All kernels are in `@lengthwise/lengthwise/kernels`, all of models in
 * `@lengthwise/lengthwise/models`, all of tasks in `@lengthwise/lengthwise/tasks`.
 *
 * @module
 */
export {
  deltaRule,
  deltaRuleBackward,
  deltaRuleStep,
  DeviceLostError,
  flashAttention,
  flashAttentionBackward,
  flashAttentionStep,
  Gpu,
  type GpuOptions,
  KernelError,
  linearAttention,
  linearAttentionBackward,
  linearAttentionStep,
  matmul,
  openGpu,
  type Recording,
  rmsNorm,
  rwkv7,
  rwkv7Backward,
  rwkv7Step,
  scan,
  scanBackward,
  scanStep,
  Tensor,
} from "./kernels/mod.ts";
export {
  architecture,
  defineMixer,
  loadModel,
  loadZooModel,
  type Mixer,
  Model,
  type ModelConfiguration,
  NotANumberError,
  operations,
  recurrences,
  saveModel,
  Tape,
  Variable,
} from "./models/mod.ts";
export {
  createTask,
  ModelSource,
  readTuning,
  type Recipe,
  runSweep,
  type SweepConfiguration,
  train,
  writeReport,
} from "./tasks/mod.ts";
