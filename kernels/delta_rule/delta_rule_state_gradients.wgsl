// Carries the state's gradient G backwards over the chunks of a sequence. The update's gradients, as they
// come into its equations, solve from the last row
//   y[j] = WRITE_OUT[j] G + Σ_{i ≥ j} QUERY_WRITE[i, j] do[i] + Σ_{i > j} READ_WRITE[i, j] y[i]
// (do: the output's gradient); then G' = D(chunk) * G + QUERY_INᵀ do + READ_INᵀ y.
// Here states and state hold gradients, slot by slot those of the forward pass's states.
// Dispatch: x = sequences, y = heads, z = groups of invocations, one per quad of columns.

import package::delta_rule::blocks::{scaled, shape};
import package::delta_rule::state_columns::{load_state, save_state, states};
import package::delta_rule::triangles::{lower_transposed_times, solve_lower_transposed};
import package::delta_rule::workspace::{
  pair_at, panel_at, QUERY_IN, QUERY_WRITE, READ_IN, READ_WRITE, span_at, state_at, value_at, WRITE_OUT,
};

override WORKGROUP_SIZE: u32 = 32u;

@group(0) @binding(1) var<storage, read> sequences: array<vec4u>; // [sequences]: first chunk, chunks, first slot, sequence
@group(0) @binding(2) var<storage, read> panels: array<mat4x4f>; // [units, PANELS, blocks, key_quads]
@group(0) @binding(3) var<storage, read> pairs: array<mat4x4f>; // [units, PAIRS, blocks, blocks]
@if(DECAYED) @group(0) @binding(4) var<storage, read> spans: array<vec4f>; // [units, borders, borders, decay_quads]
@group(0) @binding(5) var<storage, read> output_gradient: array<mat4x4f>; // [units, blocks, value_quads]
@group(0) @binding(8) var<storage, read_write> update_gradient: array<mat4x4f>; // [units, blocks, value_quads]

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_state_gradients(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let quad = workgroup.z * WORKGROUP_SIZE + local.x;
  if (quad >= shape.value_quads) {
    return;
  }
  let sequence = sequences[workgroup.x];
  let head = workgroup.y;
  let width = shape.value_quads;
  load_state(state_at(sequence.z + sequence.y, head, 0u) + quad, sequence.w, head, quad);
  for (var n = sequence.y; n > 0u; n--) {
    let unit = (sequence.x + n - 1u) * shape.heads + head;
    let gradient = state_at(sequence.z + n, head, 0u) + quad;
    let gradient_before = state_at(sequence.z + n - 1u, head, 0u) + quad;
    for (var first = 0u; first < shape.blocks; first += 4u) {
      var sums = array<mat4x4f, 4>();
      for (var d = 0u; d < shape.key_quads; d++) {
        let g = states[gradient + d * width];
        @unroll for (var r = 0u; r < 4u; r++) {
          sums[r] += g * panels[panel_at(unit, WRITE_OUT, first + r) + d];
        }
      }
      @unroll for (var r = 0u; r < 4u; r++) {
        update_gradient[value_at(unit, first + r) + quad] = sums[r];
      }
    }
    for (var end = shape.blocks; end > 0u; end--) {
      let j = end - 1u;
      let own = value_at(unit, j) + quad;
      var sum = lower_transposed_times(output_gradient[own], pairs[pair_at(unit, QUERY_WRITE, j, j)]);
      for (var i = end; i < shape.blocks; i++) {
        let later = value_at(unit, i) + quad;
        sum += output_gradient[later] * transpose(pairs[pair_at(unit, QUERY_WRITE, i, j)]);
        sum += update_gradient[later] * transpose(pairs[pair_at(unit, READ_WRITE, i, j)]);
      }
      sum += update_gradient[own];
      update_gradient[own] = solve_lower_transposed(sum, pairs[pair_at(unit, READ_WRITE, j, j)]);
    }
    for (var d = 0u; d < shape.key_quads; d += 4u) {
      var sums = array<mat4x4f, 4>();
      for (var i = 0u; i < shape.blocks; i++) {
        let o = output_gradient[value_at(unit, i) + quad];
        @unroll for (var c = 0u; c < 4u; c++) {
          sums[c] += o * transpose(panels[panel_at(unit, QUERY_IN, i) + d + c]);
        }
      }
      for (var i = 0u; i < shape.blocks; i++) {
        let y = update_gradient[value_at(unit, i) + quad];
        @unroll for (var c = 0u; c < 4u; c++) {
          sums[c] += y * transpose(panels[panel_at(unit, READ_IN, i) + d + c]);
        }
      }
      @unroll for (var c = 0u; c < 4u; c++) {
        var after = states[gradient + (d + c) * width];
        @if(DECAYED) after = scaled(after, spans[span_at(unit, 0u, shape.blocks, d + c)]);
        states[gradient_before + (d + c) * width] = after + sums[c];
      }
    }
  }
  save_state(state_at(sequence.z, head, 0u) + quad, sequence.w, head, quad);
}
