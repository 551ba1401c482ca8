import { type Gpu, kernel, type Tensor } from "../gpu/mod.ts";
import sumBlocksSource from "./sum_blocks.wgsl" with { type: "text" };

const SUM_BLOCKS = kernel("sum_blocks", sumBlocksSource);
/** Rows, or blocks of them, that one invocation sums for the gradient of a parameter. */
export const BLOCK = 64;

/**
 * How a workgroup is shared between rows. A software adapter runs 8 invocations in lockstep: as many
 * lanes read a row in whole vectors, where a row an invocation would gather. A GPU gives a row as
 * many lanes as it has columns, up to 256.
 */
export function rowTiling(gpu: Gpu, columns: number): { lanes: number; rowsPerWorkgroup: number } {
  if (gpu.adapter.software) return { lanes: 8, rowsPerWorkgroup: 8 };
  const lanes = Math.min(256, 2 ** Math.ceil(Math.log2(Math.max(1, columns))));
  return { lanes, rowsPerWorkgroup: Math.max(1, 64 / lanes) };
}

/** Sums `[blocks, columns]` over its blocks, {@linkcode BLOCK} at a time until one is left. */
export function sumBlocks(gpu: Gpu, partial: Tensor): Tensor {
  const [blocks, columns] = partial.shape;
  const sums = Math.max(1, Math.ceil(blocks / BLOCK));
  const total = gpu.empty(sums === 1 ? [columns] : [sums, columns]);
  gpu.dispatch(SUM_BLOCKS, {
    constants: { BLOCK },
    uniform: [blocks, columns],
    read: { partial },
    write: { total },
    workgroups: [sums, Math.ceil(columns / 64)],
  });
  if (sums === 1) return total;
  using rest = total;
  return sumBlocks(gpu, rest);
}
