import { type Chooser, type Gpu, LOOP_ITERATIONS, sizeClass, tunable } from "../gpu/mod.ts";

/** Which kernel computes a product: see README.md. */
export type MatmulAlgorithm = "register" | "workgroup" | "vector";

/** A product's extents, batches folded where they can be. */
export interface MatmulShape {
  readonly batches: number;
  readonly rows: number;
  readonly columns: number;
  readonly reduction: number;
}

/** How a product is cut up on an adapter. */
export interface MatmulTiling {
  readonly algorithm: MatmulAlgorithm;
  /** Parts of K, each summed on its own, for products with few tiles and a long K. */
  readonly splits: number;
  /** Steps of K in a part; a multiple of 16. */
  readonly splitLength: number;
  /** Rows and columns of C that an invocation (register) or a workgroup (workgroup) holds. */
  readonly tile: readonly [number, number];
  /** How a workgroup shares its tile. */
  readonly workgroup: WorkgroupTile;
}

/**
 * Rows and columns of a tile. Of an invocation's in registers the larger one saves a sixth of the
 * time, and takes a driver twice as long to compile: where it is full.
 */
function tileOf(
  algorithm: MatmulAlgorithm,
  columns: number,
  { ROW_FOURS, COLUMN_FOURS, DOWN, ACROSS }: WorkgroupTile,
): readonly [number, number] {
  if (algorithm === "workgroup") return [4 * ROW_FOURS * DOWN, 4 * COLUMN_FOURS * ACROSS];
  return columns % 32 === 0 ? [16, 32] : [16, 16];
}

/**
 * What each kind of adapter wants. `vectorRows`: up to how many rows the vector kernel wins.
 * `tiles`: how many tiles keep it busy; fewer, and K is split. `splitLength`: a shorter part of K
 * costs more in the second pass than it gains.
 */
const ADAPTERS = {
  software: { algorithm: "register", vectorRows: 2, tiles: 128, splitLength: 128 },
  gpu: { algorithm: "workgroup", vectorRows: 8, tiles: 256, splitLength: 256 },
} as const;

/**
 * The longest part of K, by LOOP_ITERATIONS: the register kernel takes steps of 4, the workgroup kernel
 * steps of 16 with loops of up to 20 iterations in each.
 */
const LONGEST_PART = { register: 2 ** 17, workgroup: 2 ** 15 } as const;

/** A product, for the family's table: its extents, and how it is stored. */
export type ProductProblem = {
  readonly batches: number;
  readonly rows: number;
  readonly columns: number;
  readonly reduction: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** Whether all batches have one B. */
  readonly sharedB: boolean;
  readonly typeA: string;
  readonly typeB: string;
};

/** A tile of the workgroup kernel: fours of an invocation, invocations, and steps of K at a time. */
export type WorkgroupTile = {
  readonly ROW_FOURS: number;
  readonly COLUMN_FOURS: number;
  readonly DOWN: number;
  readonly ACROSS: number;
  readonly STEPS: number;
};

/** Which kernel computes a product, and the tile of the workgroup kernel. */
export type ProductValues =
  | { readonly algorithm: "register" | "vector" }
  | { readonly algorithm: "workgroup" } & WorkgroupTile;

function shared(
  ROW_FOURS: number,
  COLUMN_FOURS: number,
  DOWN: number,
  ACROSS: number,
  STEPS: number,
): ProductValues & WorkgroupTile {
  return { algorithm: "workgroup", ROW_FOURS, COLUMN_FOURS, DOWN, ACROSS, STEPS };
}

/** Candidates of the workgroup kernel by the tile of C, an invocation's part of it, and steps of K. */
const WORKGROUP_TILES = {
  "64 × 64 by 8 × 8, 16 steps": shared(2, 2, 8, 8, 16),
  "64 × 64 by 8 × 4, 16 steps": shared(2, 1, 8, 16, 16),
  "64 × 64 by 8 × 8, 32 steps": shared(2, 2, 8, 8, 32),
  "64 × 128 by 8 × 8, 16 steps": shared(2, 2, 8, 16, 16),
  "128 × 64 by 8 × 8, 16 steps": shared(2, 2, 16, 8, 16),
  "128 × 128 by 8 × 8, 8 steps": shared(2, 2, 16, 16, 8),
  "128 × 128 by 8 × 8, 16 steps": shared(2, 2, 16, 16, 16),
  "32 × 32 by 4 × 4, 32 steps": shared(1, 1, 8, 8, 32),
} as const;

/** Bytes of workgroup memory that a tile takes. */
function tileBytes({ ROW_FOURS, COLUMN_FOURS, DOWN, ACROSS, STEPS }: WorkgroupTile): number {
  return 16 * STEPS * (ROW_FOURS * DOWN + 1 + COLUMN_FOURS * ACROSS + 1);
}

/** Which kernel computes a product, and its tile. */
export const PRODUCT = tunable<ProductProblem, ProductValues>(
  "matmul/product",
  {
    software: {
      register: { algorithm: "register" },
      vector: { algorithm: "vector" },
    },
    gpu: { ...WORKGROUP_TILES, vector: { algorithm: "vector" } },
    standard: ({ rows }, { adapter: { software } }) =>
      rows <= ADAPTERS[software ? "software" : "gpu"].vectorRows ? "vector" : undefined,
    classOf: ({ rows, columns, reduction, transposeA, transposeB, typeB }) =>
      `${transposeA ? "Aᵀ" : "A"} ${transposeB ? "Bᵀ" : "B"} in ${typeB}, ${
        [rows, columns, reduction].map(sizeClass).join(" × ")
      }`,
    fits(values, { rows, reduction }, { adapter: { software }, device: { limits } }): boolean {
      if (values.algorithm === "vector") {
        return rows <= MOST_VECTOR_ROWS && !(software && reduction > 2 ** 16);
      }
      return values.algorithm !== "workgroup" ||
        tileBytes(values) <= limits.maxComputeWorkgroupStorageSize &&
          values.DOWN * values.ACROSS <= limits.maxComputeInvocationsPerWorkgroup;
    },
  },
);

/** Rows of A up to which reading B once for each may be the fastest. */
const MOST_VECTOR_ROWS = 64;

/** What the vector kernel reads, for the family's table. */
export type VectorProblem = {
  readonly transposeB: boolean;
  readonly columns: number;
  readonly reduction: number;
  readonly typeB: string;
};

/** Groups of four columns that a workgroup of the vector kernel takes, and invocations per group. */
export const VECTOR = tunable<VectorProblem, { readonly GROUPS: number; readonly LANES: number }>(
  "matmul/vector",
  {
    software: { "8 × 1": { GROUPS: 8, LANES: 1 }, "16 × 1": { GROUPS: 16, LANES: 1 } },
    gpu: {
      "4 × 32": { GROUPS: 4, LANES: 32 },
      "8 × 16": { GROUPS: 8, LANES: 16 },
      "2 × 32": { GROUPS: 2, LANES: 32 },
      "2 × 64": { GROUPS: 2, LANES: 64 },
      "1 × 64": { GROUPS: 1, LANES: 64 },
      "8 × 32": { GROUPS: 8, LANES: 32 },
      "32 × 4": { GROUPS: 32, LANES: 4 },
    },
    standard: ({ transposeB }, { adapter: { software } }) =>
      software || transposeB ? undefined : "8 × 16",
    classOf: ({ transposeB, columns, reduction, typeB }) =>
      `${transposeB ? "Bᵀ" : "B"} in ${typeB}, ${[columns, reduction].map(sizeClass).join(" × ")}`,
    fits: ({ GROUPS, LANES }, _problem, { device: { limits } }) =>
      GROUPS * LANES <= limits.maxComputeInvocationsPerWorkgroup,
  },
);

/**
 * How the vector kernel is shared out. On a software adapter a sum that is longer than one invocation may
 * go round has several.
 */
export function vectorTiling(
  gpu: Chooser,
  problem: VectorProblem,
): { readonly GROUPS: number; readonly LANES: number } {
  const { software } = gpu.adapter;
  const LANES = 2 ** Math.ceil(Math.log2(Math.max(1, problem.reduction / (4 * LOOP_ITERATIONS))));
  if (software && LANES > 1) return { GROUPS: Math.min(8, 256 / LANES), LANES };
  return VECTOR.choose(gpu, problem);
}

/** Whether a product of so many rows reads its weight once for each of them, as for generated tokens. */
export function isFewRows({ adapter: { software } }: Gpu, rows: number): boolean {
  return rows <= ADAPTERS[software ? "software" : "gpu"].vectorRows;
}

/**
 * The one place that says which adapter gets which kernel, and when K is split.
 *
 * @param workgroup How the workgroup kernel shares its tile; the table's first by default.
 */
export function matmulTiling(
  software: boolean,
  shape: MatmulShape,
  algorithm?: MatmulAlgorithm,
  workgroup: WorkgroupTile = Object.values(WORKGROUP_TILES)[0],
): MatmulTiling {
  const wants = ADAPTERS[software ? "software" : "gpu"];
  const { batches, rows, columns, reduction } = shape;
  algorithm ??= rows <= wants.vectorRows ? "vector" : wants.algorithm;
  const tile = tileOf(algorithm, columns, workgroup);
  const splitLength = Math.max(16, Math.ceil(reduction / 16) * 16);
  const whole = { algorithm, tile, workgroup, splits: 1, splitLength };
  if (algorithm === "vector") return whole;
  const [tileRows, tileColumns] = tile;
  const tiles = batches * Math.ceil(rows / tileRows) * Math.ceil(columns / tileColumns);
  const wanted = Math.max(
    Math.min(Math.ceil(wants.tiles / tiles), Math.floor(reduction / wants.splitLength)),
    Math.ceil(reduction / LONGEST_PART[algorithm]),
  );
  if (wanted <= 1) return whole;
  const part = Math.ceil(reduction / wanted / 16) * 16;
  return { ...whole, splits: Math.ceil(reduction / part), splitLength: part };
}

/** Workgroups of a tiled kernel, given how many tiles a workgroup takes. */
export function tileWorkgroups(
  tiling: MatmulTiling,
  shape: MatmulShape,
  tilesPerWorkgroup: number,
): number {
  const [tileRows, tileColumns] = tiling.tile;
  const tiles = Math.ceil(shape.rows / tileRows) * Math.ceil(shape.columns / tileColumns);
  return Math.ceil(tiles * shape.batches * tiling.splits / tilesPerWorkgroup);
}
