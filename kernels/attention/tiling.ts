import type { Gpu } from "../gpu/mod.ts";

/** Invocations a workgroup of the kernels that hold rows in registers: two SIMD vectors of AVX2. */
export const ROW_LANES = 16;

/**
 * Rows an invocation holds: as many as let `vectors` vec4s a row fit 128 vec4s, and 4 at most. A row
 * more saves loads; past the first-level cache it costs more than it saves.
 */
export function rowsPerInvocation(vectors: number): number {
  return Math.max(1, Math.min(4, Math.floor(128 / vectors)));
}

/** Keys an iteration of the forward kernel: small heads have too little work in one. */
export function keysPerIteration(vectors: number): number {
  return Math.max(1, Math.min(4, Math.floor(32 / vectors)));
}

/** Keys a workgroup of the decoding kernel takes. */
export function stepChunk(gpu: Gpu): { chunk: number; lanes: number } {
  return gpu.adapter.software ? { chunk: 256, lanes: 16 } : { chunk: 256, lanes: 64 };
}
