import { COMMON } from "../common/shaders.ts";
import { shaders } from "../gpu/mod.ts";
import activation from "./activation.wgsl" with { type: "text" };
import activation_backward from "./activation_backward.wgsl" with { type: "text" };
import gated_activation from "./gated_activation.wgsl" with { type: "text" };
import gated_activation_backward from "./gated_activation_backward.wgsl" with { type: "text" };
import softplus_decay from "./softplus_decay.wgsl" with { type: "text" };
import vectors from "./vectors.wgsl" with { type: "text" };

/** The shader files of this folder. */
export const ACTIVATION = shaders("activation", {
  activation,
  activation_backward,
  gated_activation,
  gated_activation_backward,
  softplus_decay,
  vectors,
}, COMMON);
