import {
  type Gpu,
  type Kernel,
  kernel,
  LOOP_ITERATIONS,
  type Tensor,
  withSubgroups,
} from "../gpu/mod.ts";
import sumBlocksSource from "./sum_blocks.wgsl" with { type: "text" };
import sumLanes from "./sum_lanes.wgsl" with { type: "text" };
import sumLanesSubgroups from "./sum_lanes_subgroups.wgsl" with { type: "text" };

const SUM_BLOCKS = rowKernels("sum_blocks", sumBlocksSource);
/** Rows, or blocks of them, that one invocation sums for the gradient of a parameter. */
export const BLOCK = 64;

/** A kernel over rows of floats, and its twin over rows of vec4s. */
export interface RowKernels {
  readonly scalar: Kernel;
  readonly vector: Kernel;
}

/** Both forms of a shader that says `alias Element = f32;` and may have a `total` of an Element. */
export function rowKernels(label: string, source: string): RowKernels {
  const vector = source
    .replace("alias Element = f32;", "alias Element = vec4f;")
    .replace("return value;", "return (value.x + value.y) + (value.z + value.w);");
  return { scalar: kernel(label, source), vector: kernel(label, vector) };
}

/** The form for rows of so many floats, and how many Elements those are. */
export function rowForm(kernels: RowKernels, width: number): { kernel: Kernel; columns: number } {
  return width % 4 === 0
    ? { kernel: kernels.vector, columns: width / 4 }
    : { kernel: kernels.scalar, columns: width };
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

/** A kernel whose lanes sum up a row, by each way to do so. */
export interface LaneKernels {
  readonly workgroup: RowKernels;
  readonly subgroups: RowKernels;
}

/** All forms of a shader that calls `sum_lanes`. */
export function laneKernels(label: string, source: string): LaneKernels {
  return {
    workgroup: rowKernels(label, `${source}\n${sumLanes}`),
    subgroups: rowKernels(label, withSubgroups(`${source}\n${sumLanesSubgroups}`)),
  };
}

/**
 * The form for rows of so many floats, and its tiling. Subgroups sum a row with one barrier, where a
 * GPU has them and a workgroup holds no other row.
 */
export function laneForm(
  gpu: Gpu,
  kernels: LaneKernels,
  width: number,
): { kernel: Kernel; columns: number; tiling: { LANES: number; ROWS: number } } {
  const { columns } = rowForm(kernels.workgroup, width);
  const tiling = rowTiling(gpu, columns);
  const subgroups = gpu.supportsSubgroups && !gpu.adapter.software && tiling.ROWS === 1;
  return { ...rowForm(subgroups ? kernels.subgroups : kernels.workgroup, width), tiling };
}

/** How many invocations of a workgroup stand side by side where each has a column of its own. */
export function columnLanes(columns: number): number {
  return Math.min(64, powerOfTwo(columns));
}

function powerOfTwo(count: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, count)));
}

/** Sums `[blocks, columns]` over its blocks, {@linkcode BLOCK} at a time until one is left. */
export function sumBlocks(gpu: Gpu, partial: Tensor): Tensor {
  const [blocks, width] = partial.shape;
  const sums = Math.max(1, Math.ceil(blocks / BLOCK));
  const total = gpu.empty(sums === 1 ? [width] : [sums, width]);
  const { kernel, columns } = rowForm(SUM_BLOCKS, width);
  const LANES = columnLanes(columns);
  gpu.dispatch(kernel, {
    constants: { LANES, BLOCK },
    uniform: [blocks, columns],
    read: { partial },
    write: { total },
    workgroups: [sums, Math.ceil(columns / LANES)],
  });
  if (sums === 1) return total;
  using rest = total;
  return sumBlocks(gpu, rest);
}
