import { COMMON } from "../common/shaders.ts";
import { shaders } from "../gpu/mod.ts";
import convert from "./convert.wgsl" with { type: "text" };
import halves from "./halves.wgsl" with { type: "text" };
import quantize from "./quantize.wgsl" with { type: "text" };
import stored from "./stored.wgsl" with { type: "text" };

/** The shader files of this folder. */
export const STORAGE = shaders("storage", {
  convert,
  halves,
  quantize,
  stored,
}, COMMON);
