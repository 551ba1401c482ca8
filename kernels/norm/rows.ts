import { powerOfTwo } from "../common/rows.ts";
import { elementCount, type Gpu, LOOP_ITERATIONS, type Tensor } from "../gpu/mod.ts";

/** Rows that one invocation sums for the gradient of a parameter. */
export const BLOCK = 64;

/** What an invocation takes of rows of so many floats at a time, and how many of that they are. */
export function rowForm(
  width: number,
  FOURS: boolean = width % 4 === 0,
): { form: { FOURS: boolean }; columns: number } {
  return { form: { FOURS }, columns: FOURS ? width / 4 : width };
}

/** vec4s up to which a software adapter gives a row one invocation. */
const SHORT_ROW = 64;

/**
 * How a workgroup is shared between rows. A software adapter runs 8 invocations in lockstep, and a
 * load costs it the same whatever they read: a short row is one invocation's, which joins nothing;
 * a longer one has 8 lanes, which read it in whole vectors. A GPU gives a row as many lanes as it has
 * columns, up to 256; and so does a software adapter a row that would take 8 lanes more rounds than
 * they may go.
 */
function rowTiling(
  gpu: Gpu,
  columns: number,
  FOURS: boolean,
): { LANES: number; ROWS: number } {
  if (gpu.adapter.software && FOURS && columns <= SHORT_ROW) return { LANES: 1, ROWS: 64 };
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
export function laneForm(
  gpu: Gpu,
  width: number,
  fours?: boolean,
): { form: LaneForm; columns: number } {
  const { form, columns } = rowForm(width, fours);
  const tiling = rowTiling(gpu, columns, form.FOURS);
  const SUBGROUPS = gpu.supportsSubgroups && !gpu.adapter.software && tiling.ROWS === 1;
  return { form: { ...form, SUBGROUPS, ...tiling }, columns };
}

/** vec4s of a row that a software adapter holds in registers: longer ones take long to compile. */
const HELD_COLUMNS = 16;
/** Invocations of a workgroup of the kernels that hold rows: one SIMD vector of AVX2. */
export const HOLDERS = 8;

/** Whether an invocation holds a whole row of so many floats in registers. */
export function isHeld({ adapter: { software } }: Gpu, width: number): boolean {
  return software && width % 4 === 0 && width > 0 && width / 4 <= HELD_COLUMNS;
}

/**
 * How many rows an invocation holds one after another: few, so that all invocations of a SIMD vector
 * have some; where each leaves a sum, as many as leave no more sums than are added up at once.
 */
export function heldRun(rows: number, { sums }: { readonly sums: boolean }): number {
  const run = sums ? Math.ceil(rows / 128) : Math.ceil(rows / 512);
  return Math.max(1, Math.min(sums ? 64 : 4, run));
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
