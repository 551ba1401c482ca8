import { COMMON } from "../common/shaders.ts";
import { shaders } from "../gpu/mod.ts";
import embedding from "./embedding.wgsl" with { type: "text" };
import embedding_backward from "./embedding_backward.wgsl" with { type: "text" };

/** The shader files of this folder. */
export const EMBEDDING = shaders("embedding", {
  embedding,
  embedding_backward,
}, COMMON);
