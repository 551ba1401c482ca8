import { COMMON } from "../common/shaders.ts";
import { shaders } from "../gpu/mod.ts";
import chains from "./chains.wgsl" with { type: "text" };
import chunks from "./chunks.wgsl" with { type: "text" };
import four_channels from "./four_channels.wgsl" with { type: "text" };
import one_minus_exponential from "./one_minus_exponential.wgsl" with { type: "text" };
import rg_lru_decay_parameter from "./rg_lru_decay_parameter.wgsl" with { type: "text" };
import rg_lru_gates from "./rg_lru_gates.wgsl" with { type: "text" };
import rg_lru_gates_backward from "./rg_lru_gates_backward.wgsl" with { type: "text" };
import rg_lru_step from "./rg_lru_step.wgsl" with { type: "text" };
import scan_backward_chunk from "./scan_backward_chunk.wgsl" with { type: "text" };
import scan_backward_output from "./scan_backward_output.wgsl" with { type: "text" };
import scan_carry from "./scan_carry.wgsl" with { type: "text" };
import scan_chunk from "./scan_chunk.wgsl" with { type: "text" };
import scan_output from "./scan_output.wgsl" with { type: "text" };
import scan_step from "./scan_step.wgsl" with { type: "text" };
import selective_scan_backward from "./selective_scan_backward.wgsl" with { type: "text" };
import selective_scan_backward_chunk from "./selective_scan_backward_chunk.wgsl" with {
  type: "text",
};
import selective_scan_backward_shared from "./selective_scan_backward_shared.wgsl" with {
  type: "text",
};
import selective_scan_carry from "./selective_scan_carry.wgsl" with { type: "text" };
import selective_scan_chunk from "./selective_scan_chunk.wgsl" with { type: "text" };
import selective_scan_finish from "./selective_scan_finish.wgsl" with { type: "text" };
import selective_scan_gate from "./selective_scan_gate.wgsl" with { type: "text" };
import selective_scan_gate_backward from "./selective_scan_gate_backward.wgsl" with {
  type: "text",
};
import selective_scan_in_registers from "./selective_scan_in_registers.wgsl" with { type: "text" };
import selective_scan_in_registers_backward from "./selective_scan_in_registers_backward.wgsl" with {
  type: "text",
};
import selective_scan_output from "./selective_scan_output.wgsl" with { type: "text" };
import selective_scan_parameters from "./selective_scan_parameters.wgsl" with { type: "text" };
import selective_scan_prepare from "./selective_scan_prepare.wgsl" with { type: "text" };
import selective_scan_shared_sum from "./selective_scan_shared_sum.wgsl" with { type: "text" };
import selective_scan_step from "./selective_scan_step.wgsl" with { type: "text" };
import shared from "./shared.wgsl" with { type: "text" };
import slice from "./slice.wgsl" with { type: "text" };
import softplus from "./softplus.wgsl" with { type: "text" };
import states from "./states.wgsl" with { type: "text" };

/** The shader files of this folder. */
export const SCAN = shaders("scan", {
  chains,
  chunks,
  four_channels,
  one_minus_exponential,
  rg_lru_decay_parameter,
  rg_lru_gates,
  rg_lru_gates_backward,
  rg_lru_step,
  scan_backward_chunk,
  scan_backward_output,
  scan_carry,
  scan_chunk,
  scan_output,
  scan_step,
  selective_scan_backward,
  selective_scan_backward_chunk,
  selective_scan_backward_shared,
  selective_scan_carry,
  selective_scan_chunk,
  selective_scan_finish,
  selective_scan_gate,
  selective_scan_gate_backward,
  selective_scan_in_registers,
  selective_scan_in_registers_backward,
  selective_scan_output,
  selective_scan_parameters,
  selective_scan_prepare,
  selective_scan_shared_sum,
  selective_scan_step,
  shared,
  slice,
  softplus,
  states,
}, COMMON);
