import { type Gpu, LOOP_ITERATIONS } from "../gpu/mod.ts";

/**
 * How attention is computed: `"rows"` holds whole rows in the registers of an invocation and wants no
 * workgroup memory; `"tiles"` shares tiles of 32 by 32 in workgroup memory between 64 invocations.
 */
export type AttentionAlgorithm = "rows" | "tiles";

/** Which algorithm an adapter gets: a software adapter reads registers faster than workgroup memory. */
export function defaultAlgorithm(gpu: Gpu): AttentionAlgorithm {
  return gpu.adapter.software ? "rows" : "tiles";
}

/** Invocations a workgroup of the `"rows"` kernels: one SIMD vector of AVX2. */
export const ROW_LANES = 8;

/**
 * Rows an invocation of the `"rows"` kernels holds, for a key and a value of `vectors` vec4s together.
 * Each row more saves loads; but a driver's compile time grows faster than the unrolled code.
 */
export function rowsPerInvocation(vectors: number): number {
  if (vectors <= 8) return 8;
  if (vectors <= 32) return 4;
  return vectors <= 64 ? 2 : 1;
}

/** Queries and keys of a tile of the `"tiles"` kernels; 64 invocations share it. */
export const TILE = 32;
/** vec4s of a row that the `"tiles"` kernels hold in workgroup memory at a time. */
export const TILE_VECTORS = 8;

/**
 * How many keys a dispatch walks for each query, or for the key gradient how many queries of each of
 * `heads` heads for a key: as many as a software adapter goes round.
 */
export function longestWalk(
  gpu: Gpu,
  algorithm: AttentionAlgorithm,
  { HEAD, VALUE, heads }: { HEAD: number; VALUE: number; heads: number },
): number {
  if (!gpu.adapter.software) return Infinity;
  const iterations = LOOP_ITERATIONS / heads;
  if (algorithm === "rows") return Math.max(1, Math.floor(iterations) - 3);
  const blocks = Math.ceil(HEAD / TILE_VECTORS) + Math.ceil(VALUE / TILE_VECTORS);
  return TILE * Math.max(1, Math.floor(iterations / (24 + 60 * blocks)) - 2);
}

/** Keys a workgroup of the decoding kernel takes, the invocations that share them, and whether subgroups join their results. */
export function stepTiling(gpu: Gpu): { chunk: number; lanes: number; subgroups: boolean } {
  if (gpu.adapter.software) return { chunk: 256, lanes: 16, subgroups: false };
  return { chunk: 256, lanes: 64, subgroups: gpu.supportsSubgroups };
}
