import { COMMON } from "../common/shaders.ts";
import { shaders } from "../gpu/mod.ts";
import causal_convolution from "./causal_convolution.wgsl" with { type: "text" };
import causal_convolution_backward from "./causal_convolution_backward.wgsl" with { type: "text" };
import causal_convolution_fours from "./causal_convolution_fours.wgsl" with { type: "text" };
import causal_convolution_fours_backward from "./causal_convolution_fours_backward.wgsl" with {
  type: "text",
};
import causal_convolution_step from "./causal_convolution_step.wgsl" with { type: "text" };
import causal_convolution_tail from "./causal_convolution_tail.wgsl" with { type: "text" };
import causal_convolution_weight_gradient from "./causal_convolution_weight_gradient.wgsl" with {
  type: "text",
};
import causal_convolution_weight_sum from "./causal_convolution_weight_sum.wgsl" with {
  type: "text",
};
import four_channels from "./four_channels.wgsl" with { type: "text" };
import mamba2_columns from "./mamba2_columns.wgsl" with { type: "text" };
import mamba2_inputs from "./mamba2_inputs.wgsl" with { type: "text" };
import mamba2_inputs_backward from "./mamba2_inputs_backward.wgsl" with { type: "text" };
import mamba2_inputs_fours from "./mamba2_inputs_fours.wgsl" with { type: "text" };
import mamba2_step_gradient from "./mamba2_step_gradient.wgsl" with { type: "text" };
import sequence from "./sequence.wgsl" with { type: "text" };

/** The shader files of this folder. */
export const CONVOLUTION = shaders("convolution", {
  causal_convolution,
  causal_convolution_backward,
  causal_convolution_fours,
  causal_convolution_fours_backward,
  causal_convolution_step,
  causal_convolution_tail,
  causal_convolution_weight_gradient,
  causal_convolution_weight_sum,
  four_channels,
  mamba2_columns,
  mamba2_inputs,
  mamba2_inputs_backward,
  mamba2_inputs_fours,
  mamba2_step_gradient,
  sequence,
}, COMMON);
