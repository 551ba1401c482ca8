import { shaders } from "../gpu/mod.ts";
import activation_kinds from "./activation_kinds.wgsl" with { type: "text" };
import exponential from "./exponential.wgsl" with { type: "text" };
import hyperbolic_tangent from "./hyperbolic_tangent.wgsl" with { type: "text" };
import invocations from "./invocations.wgsl" with { type: "text" };
import lanes from "./lanes.wgsl" with { type: "text" };
import numbers from "./numbers.wgsl" with { type: "text" };
import quantized from "./quantized.wgsl" with { type: "text" };
import resize_rows from "./resize_rows.wgsl" with { type: "text" };
import sum_axis from "./sum_axis.wgsl" with { type: "text" };
import workgroups from "./workgroups.wgsl" with { type: "text" };

/** The shader files of this folder. */
export const COMMON = shaders("common", {
  activation_kinds,
  exponential,
  hyperbolic_tangent,
  invocations,
  lanes,
  numbers,
  quantized,
  resize_rows,
  sum_axis,
  workgroups,
});
