import { type Gpu, kernel, type Tensor } from "../gpu/mod.ts";
import { workgroupsFor } from "./problem.ts";
import sumAxisSource from "./sum_axis.wgsl" with { type: "text" };

const SUM_AXIS = kernel("sum_axis", sumAxisSource);

/** Sums `[outer, count, inner]` over its middle axis: `[outer, inner]`. */
export function sumAxis(gpu: Gpu, x: Tensor, outer: number, count: number, inner: number): Tensor {
  const y = gpu.empty([outer, inner]);
  gpu.dispatch(SUM_AXIS, {
    uniform: [outer, count, inner],
    read: { x },
    write: { y },
    workgroups: workgroupsFor(outer * inner),
  });
  return y;
}
