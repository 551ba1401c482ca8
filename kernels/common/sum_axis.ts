import type { Gpu, Tensor } from "../gpu/mod.ts";
import { COMMON } from "./shaders.ts";

const SUM_AXIS = COMMON.kernel("sum_axis");
const WORKGROUP_SIZE = 64;
/** Terms that an invocation sums. */
const TERMS = 128;

/**
 * Sums `[outer, count, inner]` over its middle axis, in the same order each time; a long axis part by
 * part. The result has `shape`, or `[outer, inner]`.
 */
export function sumAxis(
  gpu: Gpu,
  x: Tensor,
  [outer, count, inner]: readonly [number, number, number],
  shape: readonly number[] = [outer, inner],
): Tensor {
  const parts = Math.max(1, Math.ceil(count / TERMS));
  const y = gpu.empty(parts === 1 ? shape : [outer, parts, inner]);
  const elements = inner % 4 === 0 ? 4 : 1;
  gpu.dispatch(SUM_AXIS, {
    constants: { Element: elements === 4 ? "vec4f" : "f32", WORKGROUP_SIZE, TERMS },
    uniform: { outer, count, inner: inner / elements, parts },
    read: { x },
    write: { y },
    workgroups: Math.ceil(outer * parts * inner / elements / WORKGROUP_SIZE),
  });
  if (parts === 1) return y;
  using rest = y;
  return sumAxis(gpu, rest, [outer, parts, inner], shape);
}

/** Sums `[rows, columns]` over its rows: `[columns]`. */
export function sumRows(gpu: Gpu, x: Tensor): Tensor {
  const [rows, columns] = x.shape;
  return sumAxis(gpu, x, [1, rows, columns], [columns]);
}
