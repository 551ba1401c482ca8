import { COMMON } from "../common/shaders.ts";
import { shaders } from "../gpu/mod.ts";
import broadcast from "./broadcast.wgsl" with { type: "text" };
import copy_columns from "./copy_columns.wgsl" with { type: "text" };
import gather_rows from "./gather_rows.wgsl" with { type: "text" };
import gather_rows_backward from "./gather_rows_backward.wgsl" with { type: "text" };
import indexed_rows from "./indexed_rows.wgsl" with { type: "text" };
import multiply_add from "./multiply_add.wgsl" with { type: "text" };
import scale from "./scale.wgsl" with { type: "text" };
import sum_parts from "./sum_parts.wgsl" with { type: "text" };
import sum_to from "./sum_to.wgsl" with { type: "text" };

/** The shader files of this folder. */
export const ARITHMETIC = shaders("arithmetic", {
  broadcast,
  copy_columns,
  gather_rows,
  gather_rows_backward,
  indexed_rows,
  multiply_add,
  scale,
  sum_parts,
  sum_to,
}, COMMON);
