import { powerOfTwo } from "../common/rows.ts";
import { elementCount, type Gpu, LOOP_ITERATIONS, type Tensor } from "../gpu/mod.ts";

/** Rows that one invocation sums for the gradient of a parameter. */
export const BLOCK = 64;

/** What an invocation takes of rows of so many floats at a time, and how many of that they are. */
export function rowForm(width: number): { form: { FOURS: boolean }; columns: number } {
  const FOURS = width % 4 === 0;
  return { form: { FOURS }, columns: FOURS ? width / 4 : width };
}

/**
 * How a workgroup is shared between rows. A software adapter runs 8 invocations in lockstep: as many
 * lanes read a row in whole vectors, where a row per invocation would gather. A GPU gives a row as
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

/** The size of a workgroup whose invocations have a column each. */
export function columnWorkgroup(columns: number): number {
  return Math.min(64, powerOfTwo(columns));
}

/** A tensor for a number per row of `x`: that of a row without an element, where they have none. */
export function statisticOf(gpu: Gpu, x: Tensor, ofNothing: number): Tensor {
  const shape = x.shape.slice(0, -1);
  if (x.shape.at(-1) !== 0) return gpu.empty(shape);
  return gpu.tensor(shape, new Float32Array(elementCount(shape)).fill(ofNothing));
}
