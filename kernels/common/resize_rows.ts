import type { FloatType, Gpu, Tensor } from "../gpu/mod.ts";
import { COMMON } from "./shaders.ts";

const RESIZE_ROWS = COMMON.kernel("resize_rows");
const WORKGROUP_SIZE = 64;

/**
 * Copies rows into rows of another length or data type: longer ones end in zeros, shorter ones lose
 * their end. `x` is taken as rows of `from` elements; the result is `[rows, to]`.
 */
export function resizeRows(
  gpu: Gpu,
  x: Tensor,
  { from, to, dtype = x.dtype }: { from: number; to: number; dtype?: FloatType },
): Tensor {
  const rows = x.size / from;
  const y = gpu.empty([rows, to], dtype);
  gpu.dispatch(RESIZE_ROWS, {
    constants: { Element: x.dtype, ResultElement: dtype, WORKGROUP_SIZE },
    uniform: { rows, xColumns: from, yColumns: to },
    read: { x },
    write: { y },
    workgroups: Math.ceil(rows * to / WORKGROUP_SIZE),
  });
  return y;
}
