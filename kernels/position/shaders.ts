import { COMMON } from "../common/shaders.ts";
import { shaders } from "../gpu/mod.ts";
import rotary from "./rotary.wgsl" with { type: "text" };
import rotary_append from "./rotary_append.wgsl" with { type: "text" };
import turn from "./turn.wgsl" with { type: "text" };

/** The shader files of this folder. */
export const POSITION = shaders("position", {
  rotary,
  rotary_append,
  turn,
}, COMMON);
