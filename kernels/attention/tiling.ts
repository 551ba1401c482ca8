import { powerOfTwo } from "../common/rows.ts";
import { type Gpu, LOOP_ITERATIONS, sizeClass, type Tunable, tunable } from "../gpu/mod.ts";

/**
 * How attention is computed: `"rows"` holds whole rows in the registers of an invocation and wants no
 * workgroup memory; `"tiles"` shares tiles of 32 by 32 in workgroup memory between 64 invocations, and
 * `"wide"` tiles of 64 by 64.
 */
export type AttentionAlgorithm = "rows" | "tiles" | "wide";

/** Every algorithm. */
export const ALGORITHMS: readonly AttentionAlgorithm[] = ["rows", "tiles", "wide"];

/** One of the three kernels. */
export type AttentionPass = "forward" | "query_gradient" | "key_gradient";

/** A call, for the family's table. */
export type AttentionProblem = {
  readonly batch: number;
  readonly queryTime: number;
  readonly heads: number;
  readonly dim: number;
  readonly keyTime: number;
  readonly keyHeads: number;
  readonly valueDim: number;
  readonly causal: boolean;
  readonly window: number;
  readonly dtype: string;
};

/**
 * What a kernel's tunables are: its algorithm, and of `"rows"` how many an invocation holds and how many
 * invocations walk together.
 */
export type AttentionValues = {
  readonly algorithm: AttentionAlgorithm;
  readonly rows?: number;
  readonly lanes?: number;
};

/** Rows of a wide tile, vec4s of a row that it sums up at a time, and bytes of workgroup memory. */
const WIDE = { tile: 64, summed: 16, bytes: 30_720 };
/** Floats of a key, and of a value, up to which the tuner tries wide tiles: an invocation holds as many of each sum. */
const WIDEST = 128;

/**
 * The family's table: a software adapter reads registers faster than workgroup memory. Each row more of
 * `"rows"` saves loads; but a driver's compile time grows faster than the unrolled code.
 */
export const ATTENTION_PASSES = {
  forward: passTunable("forward"),
  query_gradient: passTunable("query_gradient"),
  key_gradient: passTunable("key_gradient"),
};

function passTunable(pass: AttentionPass): Tunable<AttentionProblem, AttentionValues> {
  const rows = (rows: number): AttentionValues => ({ algorithm: "rows", rows });
  return tunable<AttentionProblem, AttentionValues>(`attention/${pass}`, {
    software: {
      "4 rows": rows(4),
      "8 rows": rows(8),
      "16 rows": rows(16),
      "2 rows": rows(2),
      "1 row": rows(1),
    },
    gpu: {
      "tiles 32 × 32": { algorithm: "tiles" },
      "tiles 64 × 64": { algorithm: "wide" },
      "2 rows by 32": { algorithm: "rows", rows: 2, lanes: 32 },
      "4 rows by 32": { algorithm: "rows", rows: 4, lanes: 32 },
    },
    standard: ({ dim, valueDim, queryTime, keyTime, window }, { adapter: { software } }) => {
      if (!software) return undefined;
      const vectors = vectorsOf(dim) + vectorsOf(valueDim);
      const walked = Math.min(window, keyTime);
      const isLong = pass === "forward" && vectors <= LONG.vectors && walked >= LONG.keys &&
        queryTime >= LONG.queries;
      return ROW_NAMES[isLong ? LONG.rows : rowsPerInvocation(pass, vectors)];
    },
    classOf: ({ dim, valueDim, queryTime, keyTime, window }) =>
      `${dim} and ${valueDim}, ${sizeClass(queryTime)} × ${sizeClass(Math.min(window, keyTime))}`,
    // Twice the default's registers at most: compiling takes seconds else.
    fits({ algorithm, rows = 1 }, { dim, valueDim }, { device: { limits } }): boolean {
      if (algorithm === "wide") {
        return Math.max(dim, valueDim) <= WIDEST &&
          WIDE.bytes <= limits.maxComputeWorkgroupStorageSize;
      }
      return rows <= 2 * rowsPerInvocation(pass, vectorsOf(dim) + vectorsOf(valueDim));
    },
  });
}

const ROW_NAMES: Readonly<Record<number, string>> = {
  1: "1 row",
  2: "2 rows",
  4: "4 rows",
  8: "8 rows",
  16: "16 rows",
};

/** Where the forward kernel holds 16 short rows: a sixth faster, and a second more to compile. */
const LONG = { rows: 16, vectors: 8, queries: 256, keys: 1024 };

function vectorsOf(dim: number): number {
  return Math.ceil(dim / 4);
}

/** Invocations per workgroup of the `"rows"` kernels on a software adapter: one SIMD vector of AVX2. */
const SIMD_LANES = 8;

/** Rows that an invocation of the `"rows"` kernels holds by default, for a key and a value of `vectors` vec4s together. */
function rowsPerInvocation(pass: AttentionPass, vectors: number): number {
  // The forward kernel, which holds the fewest, is a third faster with 8 rows of up to 64 floats.
  if (vectors <= (pass === "forward" ? 32 : 8)) return 8;
  if (vectors <= 32) return 4;
  return vectors <= 64 ? 2 : 1;
}

/** Queries and keys of a tile of the `"tiles"` kernels; 64 invocations share it. */
const TILE = 32;
/** vec4s of a row that the `"tiles"` kernels hold in workgroup memory at a time. */
const BLOCK = 8;

/**
 * Checks that an adapter has the workgroup memory that an algorithm takes.
 *
 * @throws {RangeError} where it has less.
 */
export function checkAlgorithm(
  op: string,
  { device: { limits } }: Gpu,
  algorithm: AttentionAlgorithm | undefined,
): void {
  const has = limits.maxComputeWorkgroupStorageSize;
  if (algorithm !== "wide" || has >= WIDE.bytes) return;
  throw new RangeError(
    `Cannot run ${op}() as wide tiles take ${WIDE.bytes} bytes of workgroup memory: the device has ${has}; leave out algorithm, or take "tiles"`,
  );
}

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
  what: AttentionPass,
  { algorithm, rows, lanes = SIMD_LANES }: AttentionValues,
  { HEAD, VALUE, time }: { HEAD: number; VALUE: number; time: number },
): Tiling {
  if (algorithm === "rows") {
    const ROWS = rows ?? rowsPerInvocation(what, HEAD + VALUE);
    // All invocations of a SIMD vector have rows: those of a short sequence are fewer.
    const LANES = Math.min(lanes, powerOfTwo(Math.ceil(time / ROWS)));
    const constants = { ROWS, LANES, WORKGROUP_SIZE: lanes };
    return { rows: LANES * ROWS, tiles: lanes / LANES, constants };
  }
  const [tile, block] = algorithm === "wide" ? [WIDE.tile, WIDE.summed] : [TILE, BLOCK];
  const constants: Record<string, number> = {};
  if (what !== "forward") constants.HEAD_BLOCKS = Math.ceil(HEAD / block);
  if (what !== "query_gradient") constants.VALUE_BLOCKS = Math.ceil(VALUE / block);
  return { rows: tile, tiles: 1, constants };
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

/** Keys that a workgroup of the decoding kernel takes, and the invocations that share them. */
export const ATTENTION_STEP = tunable<
  AttentionProblem,
  { readonly CHUNK: number; readonly WORKGROUP_SIZE: number }
>("attention/step", {
  software: {
    "256 by 16": { CHUNK: 256, WORKGROUP_SIZE: 16 },
    "1024 by 16": { CHUNK: 1024, WORKGROUP_SIZE: 16 },
    "256 by 8": { CHUNK: 256, WORKGROUP_SIZE: 8 },
  },
  gpu: {
    "256 by 64": { CHUNK: 256, WORKGROUP_SIZE: 64 },
    "128 by 64": { CHUNK: 128, WORKGROUP_SIZE: 64 },
    "512 by 128": { CHUNK: 512, WORKGROUP_SIZE: 128 },
    "512 by 64": { CHUNK: 512, WORKGROUP_SIZE: 64 },
    "128 by 128": { CHUNK: 128, WORKGROUP_SIZE: 128 },
  },
  classOf: ({ dim, valueDim, heads, keyHeads, keyTime, window, dtype }) =>
    `${dim} and ${valueDim} of ${heads / keyHeads} in ${dtype}, ${
      sizeClass(Math.min(window, keyTime))
    }`,
});

/** How the decoding kernel is shared out, and whether subgroups join its results. */
export function stepTiling(
  gpu: Gpu,
  problem: AttentionProblem,
): { CHUNK: number; WORKGROUP_SIZE: number; SUBGROUPS: boolean } {
  const SUBGROUPS = gpu.supportsSubgroups && !gpu.adapter.software;
  return { ...ATTENTION_STEP.choose(gpu, problem), SUBGROUPS };
}
