import type { Gpu, Tensor } from "../gpu/mod.ts";
import { workgroupsFor } from "./problem.ts";
import { LINEAR_ATTENTION } from "./shaders.ts";

const SUM_AXIS = LINEAR_ATTENTION.kernel("sum_axis");
/** Terms that an invocation sums. */
const TERMS = 4096;

/** Sums `[outer, count, inner]` over its middle axis: `[outer, inner]`; a long axis part by part. */
export function sumAxis(gpu: Gpu, x: Tensor, outer: number, count: number, inner: number): Tensor {
  const parts = Math.max(1, Math.ceil(count / TERMS));
  const y = gpu.empty(parts === 1 ? [outer, inner] : [outer, parts, inner]);
  gpu.dispatch(SUM_AXIS, {
    constants: { TERMS },
    uniform: { outer, count, inner, parts },
    read: { x },
    write: { y },
    workgroups: workgroupsFor(outer * parts * inner),
  });
  if (parts === 1) return y;
  using rest = y;
  return sumAxis(gpu, rest, outer, parts, inner);
}
