import { shaders } from "../gpu/mod.ts";
import lanes from "./lanes.wgsl" with { type: "text" };

/** The shader files that every family may import from. */
export const COMMON = shaders("common", { lanes });
