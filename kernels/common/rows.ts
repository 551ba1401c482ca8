import { type Gpu, LOOP_ITERATIONS } from "../gpu/mod.ts";

/** The constants of a kernel that imports `lanes.wgsl`. */
export interface RowTiling {
  /** Invocations per row. */
  readonly LANES: number;
  /** Rows per workgroup. */
  readonly ROWS: number;
  /** Whether the lanes of a row are joined by subgroup operations. */
  readonly SUBGROUPS: boolean;
}

/** The next power of two. */
export function powerOfTwo(count: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, count)));
}

/** Elements up to which a software adapter gives a row one lane: joining several costs more. */
const SHORT_ROW = 256;

/**
 * How rows that lanes walk in vec4s are shared. A software adapter gets as many lanes per row as it
 * runs in lockstep, one if the row is short; a GPU a lane for each vec4, up to 256, and subgroups where it has them and a workgroup
 * holds no other row.
 */
export function rowTiling(gpu: Gpu, columns: number): RowTiling {
  if (gpu.adapter.software && columns <= SHORT_ROW) return { LANES: 1, ROWS: 64, SUBGROUPS: false };
  if (gpu.adapter.software && columns <= 16 * LOOP_ITERATIONS) {
    return { LANES: 8, ROWS: 8, SUBGROUPS: false };
  }
  const LANES = Math.min(256, powerOfTwo(columns / 4));
  const ROWS = Math.max(1, 64 / LANES);
  return { LANES, ROWS, SUBGROUPS: gpu.supportsSubgroups && ROWS === 1 };
}
