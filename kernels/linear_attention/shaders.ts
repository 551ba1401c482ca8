import { COMMON } from "../common/shaders.ts";
import { shaders } from "../gpu/mod.ts";
import block_gradient from "./block_gradient.wgsl" with { type: "text" };
import bonus_gradient from "./bonus_gradient.wgsl" with { type: "text" };
import chunk_decay from "./chunk_decay.wgsl" with { type: "text" };
import chunk_outputs from "./chunk_outputs.wgsl" with { type: "text" };
import chunk_scores from "./chunk_scores.wgsl" with { type: "text" };
import chunk_states from "./chunk_states.wgsl" with { type: "text" };
import chunk_tiles from "./chunk_tiles.wgsl" with { type: "text" };
import chunks from "./chunks.wgsl" with { type: "text" };
import decay_carry from "./decay_carry.wgsl" with { type: "text" };
import diagonal_scores from "./diagonal_scores.wgsl" with { type: "text" };
import dimension from "./dimension.wgsl" with { type: "text" };
import head_decay_gradient from "./head_decay_gradient.wgsl" with { type: "text" };
import head_scores from "./head_scores.wgsl" with { type: "text" };
import head_spans from "./head_spans.wgsl" with { type: "text" };
import input_gradient from "./input_gradient.wgsl" with { type: "text" };
import linear_attention_in_registers from "./linear_attention_in_registers.wgsl" with {
  type: "text",
};
import linear_attention_in_registers_backward from "./linear_attention_in_registers_backward.wgsl" with {
  type: "text",
};
import linear_attention_recurrent from "./linear_attention_recurrent.wgsl" with { type: "text" };
import linear_attention_step from "./linear_attention_step.wgsl" with { type: "text" };
import pass_states from "./pass_states.wgsl" with { type: "text" };
import rows from "./rows.wgsl" with { type: "text" };
import tile from "./tile.wgsl" with { type: "text" };
import whole_state from "./whole_state.wgsl" with { type: "text" };

/** The shader files of this folder. */
export const LINEAR_ATTENTION = shaders("linear_attention", {
  block_gradient,
  bonus_gradient,
  chunk_decay,
  chunk_outputs,
  chunk_scores,
  chunk_states,
  chunk_tiles,
  chunks,
  decay_carry,
  diagonal_scores,
  dimension,
  head_decay_gradient,
  head_scores,
  head_spans,
  input_gradient,
  linear_attention_in_registers,
  linear_attention_in_registers_backward,
  linear_attention_recurrent,
  linear_attention_step,
  pass_states,
  rows,
  tile,
  whole_state,
}, COMMON);
