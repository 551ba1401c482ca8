import { powerOfTwo } from "../common/rows.ts";
import { type Gpu, LOOP_ITERATIONS, type Tensor } from "../gpu/mod.ts";
import { NORM } from "./shaders.ts";

const SUM_BLOCKS = NORM.kernel("sum_blocks");
/** Rows, or blocks of them, that one invocation sums for the gradient of a parameter. */
export const BLOCK = 64;

/** What an invocation takes of rows of so many floats at a time, and how many of that they are. */
export function rowForm(width: number): { form: { FOURS: boolean }; columns: number } {
  const FOURS = width % 4 === 0;
  return { form: { FOURS }, columns: FOURS ? width / 4 : width };
}

/**
 * How a workgroup is shared between rows. A software adapter runs 8 invocations in lockstep: as many
 * lanes read a row in whole vectors, where a row an invocation would gather. A GPU gives a row as
 * many lanes as it has columns, up to 256; and so does a software adapter a row that would take 8
 * lanes more rounds than they may go.
 */
function rowTiling(gpu: Gpu, columns: number): { LANES: number; ROWS: number } {
  if (gpu.adapter.software && columns <= LOOP_ITERATIONS) return { LANES: 8, ROWS: 32 };
  const LANES = Math.min(256, powerOfTwo(columns));
  return { LANES, ROWS: Math.max(1, 64 / LANES) };
}

/** How rows are shared between invocations: the constants of a kernel whose lanes sum up a row. */
export interface LaneForm {
  readonly FOURS: boolean;
  readonly SUBGROUPS: boolean;
  readonly LANES: number;
  readonly ROWS: number;
}

/**
 * How rows of so many floats are shared. Subgroups sum a row with one barrier, where a GPU has them
 * and a workgroup holds no other row.
 */
export function laneForm(gpu: Gpu, width: number): { form: LaneForm; columns: number } {
  const { form, columns } = rowForm(width);
  const tiling = rowTiling(gpu, columns);
  const SUBGROUPS = gpu.supportsSubgroups && !gpu.adapter.software && tiling.ROWS === 1;
  return { form: { ...form, SUBGROUPS, ...tiling }, columns };
}

/** How many invocations of a workgroup stand side by side where each has a column of its own. */
export function columnLanes(columns: number): number {
  return Math.min(64, powerOfTwo(columns));
}

/** Sums `[blocks, columns]` over its blocks, {@linkcode BLOCK} at a time until one is left. */
export function sumBlocks(gpu: Gpu, partial: Tensor): Tensor {
  const [blocks, width] = partial.shape;
  const sums = Math.max(1, Math.ceil(blocks / BLOCK));
  const total = gpu.empty(sums === 1 ? [width] : [sums, width]);
  const { form, columns } = rowForm(width);
  const LANES = columnLanes(columns);
  gpu.dispatch(SUM_BLOCKS, {
    constants: { ...form, LANES, BLOCK },
    uniform: { blocks, columns },
    read: { partial },
    write: { total },
    workgroups: [sums, Math.ceil(columns / LANES)],
  });
  if (sums === 1) return total;
  using rest = total;
  return sumBlocks(gpu, rest);
}
