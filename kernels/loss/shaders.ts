import { COMMON } from "../common/shaders.ts";
import { shaders } from "../gpu/mod.ts";
import cross_entropy from "./cross_entropy.wgsl" with { type: "text" };
import cross_entropy_backward from "./cross_entropy_backward.wgsl" with { type: "text" };
import join_lanes from "./join_lanes.wgsl" with { type: "text" };
import join_lanes_subgroups from "./join_lanes_subgroups.wgsl" with { type: "text" };
import part from "./part.wgsl" with { type: "text" };

/** The shader files of this folder. */
export const LOSS = shaders("loss", {
  cross_entropy,
  cross_entropy_backward,
  join_lanes,
  join_lanes_subgroups,
  part,
}, COMMON);
