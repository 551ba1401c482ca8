import { COMMON } from "../common/shaders.ts";
import { shaders } from "../gpu/mod.ts";
import adam_w from "./adam_w.wgsl" with { type: "text" };
import gradient_norm from "./gradient_norm.wgsl" with { type: "text" };
import squares from "./squares.wgsl" with { type: "text" };

/** The shader files of this folder. */
export const OPTIMIZER = shaders("optimizer", {
  adam_w,
  gradient_norm,
  squares,
}, COMMON);
