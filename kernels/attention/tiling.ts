import { powerOfTwo } from "../common/rows.ts";
import { type Gpu, LOOP_ITERATIONS } from "../gpu/mod.ts";

/**
 * How attention is computed: `"rows"` holds whole rows in the registers of an invocation and wants no
 * workgroup memory; `"tiles"` shares tiles of 32 by 32 in workgroup memory between 64 invocations.
 */
export type AttentionAlgorithm = "rows" | "tiles";

/** Every algorithm. */
export const ALGORITHMS: readonly AttentionAlgorithm[] = ["rows", "tiles"];

/** Which algorithm an adapter gets: a software adapter reads registers faster than workgroup memory. */
export function defaultAlgorithm(gpu: Gpu): AttentionAlgorithm {
  return gpu.adapter.software ? "rows" : "tiles";
}

/** Invocations per workgroup of the `"rows"` kernels: one SIMD vector of AVX2. */
const ROWS_WORKGROUP_SIZE = 8;

/**
 * Rows that an invocation of the `"rows"` kernels holds, for a key and a value of `vectors` vec4s together.
 * Each row more saves loads; but a driver's compile time grows faster than the unrolled code.
 */
function rowsPerInvocation(vectors: number): number {
  if (vectors <= 8) return 8;
  if (vectors <= 32) return 4;
  return vectors <= 64 ? 2 : 1;
}

/** Queries and keys of a tile of the `"tiles"` kernels; 64 invocations share it. */
const TILE = 32;
/** vec4s of a row that the `"tiles"` kernels hold in workgroup memory at a time. */
const BLOCK = 8;

/** How many rows a tile has, and the constants that a kernel is linked with. */
export interface Tiling {
  /** Queries, or keys in the key gradient's, of a tile. */
  readonly rows: number;
  /** Tiles that a workgroup takes. */
  readonly tiles: number;
  /** The algorithm's own constants. */
  readonly constants: Readonly<Record<string, number>>;
}

/** The tiling of a kernel for a key and a value of `HEAD` and `VALUE` vec4s, and so many rows. */
export function tilingOf(
  what: "forward" | "query_gradient" | "key_gradient",
  algorithm: AttentionAlgorithm,
  { HEAD, VALUE, time }: { HEAD: number; VALUE: number; time: number },
): Tiling {
  if (algorithm === "rows") {
    const ROWS = rowsPerInvocation(HEAD + VALUE);
    // All invocations of a SIMD vector have rows: those of a short sequence are fewer.
    const LANES = Math.min(ROWS_WORKGROUP_SIZE, powerOfTwo(Math.ceil(time / ROWS)));
    const constants = { ROWS, LANES, WORKGROUP_SIZE: ROWS_WORKGROUP_SIZE };
    return { rows: LANES * ROWS, tiles: ROWS_WORKGROUP_SIZE / LANES, constants };
  }
  const constants: Record<string, number> = {};
  if (what !== "forward") constants.HEAD_BLOCKS = Math.ceil(HEAD / BLOCK);
  if (what !== "query_gradient") constants.VALUE_BLOCKS = Math.ceil(VALUE / BLOCK);
  return { rows: TILE, tiles: 1, constants };
}

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
  const blocks = Math.ceil(HEAD / BLOCK) + Math.ceil(VALUE / BLOCK);
  return TILE * Math.max(1, Math.floor(iterations / (24 + 60 * blocks)) - 2);
}

/** Keys that a workgroup of the decoding kernel takes, the invocations that share them, and whether subgroups join their results. */
export function stepTiling(
  gpu: Gpu,
): { CHUNK: number; WORKGROUP_SIZE: number; SUBGROUPS: boolean } {
  if (gpu.adapter.software) return { CHUNK: 256, WORKGROUP_SIZE: 16, SUBGROUPS: false };
  return { CHUNK: 256, WORKGROUP_SIZE: 64, SUBGROUPS: gpu.supportsSubgroups };
}
