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
 * @module
 */
export * from "./kernels/mod.ts";
export * from "./models/mod.ts";
export * from "./tasks/mod.ts";
