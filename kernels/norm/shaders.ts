import { COMMON } from "../common/shaders.ts";
import { shaders } from "../gpu/mod.ts";
import element from "./element.wgsl" with { type: "text" };
import gated_rms_norm from "./gated_rms_norm.wgsl" with { type: "text" };
import gated_rms_norm_backward from "./gated_rms_norm_backward.wgsl" with { type: "text" };
import gated_rms_norm_register from "./gated_rms_norm_register.wgsl" with { type: "text" };
import grouped_rows from "./grouped_rows.wgsl" with { type: "text" };
import layer_norm from "./layer_norm.wgsl" with { type: "text" };
import layer_norm_backward from "./layer_norm_backward.wgsl" with { type: "text" };
import layer_norm_parameter_gradients from "./layer_norm_parameter_gradients.wgsl" with {
  type: "text",
};
import rms_norm from "./rms_norm.wgsl" with { type: "text" };
import rms_norm_backward from "./rms_norm_backward.wgsl" with { type: "text" };
import rms_norm_backward_register from "./rms_norm_backward_register.wgsl" with { type: "text" };
import rms_norm_register from "./rms_norm_register.wgsl" with { type: "text" };
import rms_norm_weight_gradient from "./rms_norm_weight_gradient.wgsl" with { type: "text" };
import sum from "./sum.wgsl" with { type: "text" };
import sum_lanes from "./sum_lanes.wgsl" with { type: "text" };
import sum_lanes_subgroups from "./sum_lanes_subgroups.wgsl" with { type: "text" };

/** The shader files of this folder. */
export const NORM = shaders("norm", {
  element,
  gated_rms_norm,
  gated_rms_norm_backward,
  gated_rms_norm_register,
  grouped_rows,
  layer_norm,
  layer_norm_backward,
  layer_norm_parameter_gradients,
  rms_norm,
  rms_norm_backward,
  rms_norm_backward_register,
  rms_norm_register,
  rms_norm_weight_gradient,
  sum,
  sum_lanes,
  sum_lanes_subgroups,
}, COMMON);
