import { COMMON } from "../common/shaders.ts";
import { shaders } from "../gpu/mod.ts";
import blocks from "./blocks.wgsl" with { type: "text" };
import carried_gradients from "./carried_gradients.wgsl" with { type: "text" };
import delta_rule_beta_gradient from "./delta_rule_beta_gradient.wgsl" with { type: "text" };
import delta_rule_decay_gradient from "./delta_rule_decay_gradient.wgsl" with { type: "text" };
import delta_rule_decays from "./delta_rule_decays.wgsl" with { type: "text" };
import delta_rule_diagonal_pairs from "./delta_rule_diagonal_pairs.wgsl" with { type: "text" };
import delta_rule_gather_keys from "./delta_rule_gather_keys.wgsl" with { type: "text" };
import delta_rule_gather_rows from "./delta_rule_gather_rows.wgsl" with { type: "text" };
import delta_rule_in_registers from "./delta_rule_in_registers.wgsl" with { type: "text" };
import delta_rule_in_registers_backward from "./delta_rule_in_registers_backward.wgsl" with {
  type: "text",
};
import delta_rule_outputs from "./delta_rule_outputs.wgsl" with { type: "text" };
import delta_rule_over_chunk from "./delta_rule_over_chunk.wgsl" with { type: "text" };
import delta_rule_pair_gradients from "./delta_rule_pair_gradients.wgsl" with { type: "text" };
import delta_rule_pairs from "./delta_rule_pairs.wgsl" with { type: "text" };
import delta_rule_panel_gradients from "./delta_rule_panel_gradients.wgsl" with { type: "text" };
import delta_rule_reader_gradients from "./delta_rule_reader_gradients.wgsl" with { type: "text" };
import delta_rule_recurrent from "./delta_rule_recurrent.wgsl" with { type: "text" };
import delta_rule_scatter_keys from "./delta_rule_scatter_keys.wgsl" with { type: "text" };
import delta_rule_scatter_rows from "./delta_rule_scatter_rows.wgsl" with { type: "text" };
import delta_rule_state_gradients from "./delta_rule_state_gradients.wgsl" with { type: "text" };
import delta_rule_states from "./delta_rule_states.wgsl" with { type: "text" };
import delta_rule_value_gradients from "./delta_rule_value_gradients.wgsl" with { type: "text" };
import delta_rule_writer_gradients from "./delta_rule_writer_gradients.wgsl" with { type: "text" };
import pair_sums from "./pair_sums.wgsl" with { type: "text" };
import slots from "./slots.wgsl" with { type: "text" };
import state_products from "./state_products.wgsl" with { type: "text" };
import triangles from "./triangles.wgsl" with { type: "text" };
import units from "./units.wgsl" with { type: "text" };
import value_rows from "./value_rows.wgsl" with { type: "text" };
import whole_state from "./whole_state.wgsl" with { type: "text" };
import workspace from "./workspace.wgsl" with { type: "text" };

/** The shader files of this folder. */
export const DELTA_RULE = shaders("delta_rule", {
  blocks,
  carried_gradients,
  delta_rule_beta_gradient,
  delta_rule_decay_gradient,
  delta_rule_decays,
  delta_rule_diagonal_pairs,
  delta_rule_gather_keys,
  delta_rule_gather_rows,
  delta_rule_in_registers,
  delta_rule_in_registers_backward,
  delta_rule_outputs,
  delta_rule_over_chunk,
  delta_rule_pair_gradients,
  delta_rule_pairs,
  delta_rule_panel_gradients,
  delta_rule_reader_gradients,
  delta_rule_recurrent,
  delta_rule_scatter_keys,
  delta_rule_scatter_rows,
  delta_rule_state_gradients,
  delta_rule_states,
  delta_rule_value_gradients,
  delta_rule_writer_gradients,
  pair_sums,
  slots,
  state_products,
  triangles,
  units,
  value_rows,
  whole_state,
  workspace,
}, COMMON);
