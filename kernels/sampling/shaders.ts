import { COMMON } from "../common/shaders.ts";
import { shaders } from "../gpu/mod.ts";
import argmax from "./argmax.wgsl" with { type: "text" };
import first_largest from "./first_largest.wgsl" with { type: "text" };
import first_largest_subgroups from "./first_largest_subgroups.wgsl" with { type: "text" };
import no_token from "./no_token.wgsl" with { type: "text" };

/** The shader files of this folder. */
export const SAMPLING = shaders("sampling", {
  argmax,
  first_largest,
  first_largest_subgroups,
  no_token,
}, COMMON);
