import { resizeRows as resize } from "../common/resize_rows.ts";
import type { FloatType, Gpu, Tensor } from "../gpu/mod.ts";

/** Copies a tensor into one whose last axis has another length: filled up with zeros, or cut. */
export function resizeRows(gpu: Gpu, x: Tensor, to: number): Tensor {
  using rows = resize(gpu, x, { from: x.shape.at(-1)!, to });
  return rows.reshape([...x.shape.slice(0, -1), to]);
}

/**
 * The tensor itself where its rows are whole vec4s; else a copy whose rows end in zeros, which add
 * nothing to a dot product. The copy is freed by `scope`.
 */
export function wholeVectors(gpu: Gpu, scope: DisposableStack, x: Tensor): Tensor {
  const columns = x.shape[x.shape.length - 1];
  return columns % 4 === 0 ? x : scope.use(resizeRows(gpu, x, Math.ceil(columns / 4) * 4));
}

/** A tensor of `shape` for a kernel that writes whole vec4s, see {@linkcode cutVectors}. */
export function emptyVectors(gpu: Gpu, shape: readonly number[], dtype: FloatType): Tensor {
  const columns = shape[shape.length - 1];
  return gpu.empty([...shape.slice(0, -1), Math.ceil(columns / 4) * 4], dtype);
}

/** Cuts what {@linkcode emptyVectors} made to `columns`; takes over the tensor. */
export function cutVectors(gpu: Gpu, x: Tensor, columns: number): Tensor {
  if (x.shape[x.shape.length - 1] === columns) return x;
  using whole = x;
  return resizeRows(gpu, whole, columns);
}
