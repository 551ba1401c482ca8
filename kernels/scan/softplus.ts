import type { Gpu, Tensor } from "../gpu/mod.ts";
import { WORKGROUP_SIZE, workgroupsFor } from "./grid.ts";
import { SCAN } from "./shaders.ts";

const SOFTPLUS = SCAN.kernel("softplus");

/** `log(1 + exp(x + bias))`, or `x + bias` where `linear`: `x` is `[..., columns]`, `bias` `[columns]`. */
export function softplus(
  gpu: Gpu,
  x: Tensor,
  options: { bias?: Tensor; linear?: boolean } = {},
): Tensor {
  const { bias, linear = false } = options;
  const columns = x.shape.at(-1) ?? 1;
  const y = gpu.empty(x.shape);
  gpu.dispatch(SOFTPLUS, {
    constants: { WORKGROUP_SIZE, LINEAR: linear },
    uniform: { rows: columns === 0 ? 0 : x.size / columns, columns },
    read: { x, bias },
    write: { y },
    workgroups: workgroupsFor(x.size),
  });
  return y;
}
