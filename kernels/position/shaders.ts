import { shaders } from "../gpu/mod.ts";
import rotary from "./rotary.wgsl" with { type: "text" };

/** The shader files of this folder. */
export const POSITION = shaders("position", {
  rotary,
});
