import { COMMON } from "../common/shaders.ts";
import { shaders } from "../gpu/mod.ts";
import flash_forward_rows from "./flash_forward_rows.wgsl" with { type: "text" };
import flash_forward_tiles from "./flash_forward_tiles.wgsl" with { type: "text" };
import flash_forward_wide from "./flash_forward_wide.wgsl" with { type: "text" };
import flash_key_gradient_rows from "./flash_key_gradient_rows.wgsl" with { type: "text" };
import flash_key_gradient_tiles from "./flash_key_gradient_tiles.wgsl" with { type: "text" };
import flash_key_gradient_wide from "./flash_key_gradient_wide.wgsl" with { type: "text" };
import flash_query_gradient_rows from "./flash_query_gradient_rows.wgsl" with { type: "text" };
import flash_query_gradient_tiles from "./flash_query_gradient_tiles.wgsl" with { type: "text" };
import flash_query_gradient_wide from "./flash_query_gradient_wide.wgsl" with { type: "text" };
import flash_row_terms from "./flash_row_terms.wgsl" with { type: "text" };
import flash_step from "./flash_step.wgsl" with { type: "text" };
import flash_step_combine from "./flash_step_combine.wgsl" with { type: "text" };
import join_subgroups from "./join_subgroups.wgsl" with { type: "text" };
import join_workgroup from "./join_workgroup.wgsl" with { type: "text" };
import logits from "./logits.wgsl" with { type: "text" };
import problem from "./problem.wgsl" with { type: "text" };
import rows from "./rows.wgsl" with { type: "text" };
import seeing_queries from "./seeing_queries.wgsl" with { type: "text" };
import segments from "./segments.wgsl" with { type: "text" };
import terms from "./terms.wgsl" with { type: "text" };
import tiles from "./tiles.wgsl" with { type: "text" };
import tiles_backward from "./tiles_backward.wgsl" with { type: "text" };
import visibility from "./visibility.wgsl" with { type: "text" };
import wide from "./wide.wgsl" with { type: "text" };

/** The shader files of this folder. */
export const ATTENTION = shaders("attention", {
  flash_forward_rows,
  flash_forward_tiles,
  flash_forward_wide,
  flash_key_gradient_rows,
  flash_key_gradient_tiles,
  flash_key_gradient_wide,
  flash_query_gradient_rows,
  flash_query_gradient_tiles,
  flash_query_gradient_wide,
  flash_row_terms,
  flash_step,
  flash_step_combine,
  join_subgroups,
  join_workgroup,
  logits,
  problem,
  rows,
  seeing_queries,
  segments,
  terms,
  tiles,
  tiles_backward,
  visibility,
  wide,
}, COMMON);
