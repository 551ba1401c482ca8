// Carries the state's gradient G backwards over the chunks of a sequence. The update's gradients, as they
// come into its equations, solve from the last row
//   y[j] = WRITE_OUT[j] G + Σ_{i ≥ j} QUERY_WRITE[i, j] do[i] + Σ_{i > j} READ_WRITE[i, j] y[i]
// (do: the output's gradient); then G' = D(chunk) * G + QUERY_INᵀ do + READ_INᵀ y.
// Slot by slot these are the gradients of the forward pass's states.
// Dispatch: x = sequences, y = heads, z = groups of invocations, one per quad of columns.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::delta_rule::blocks::{scaled, shape};
import package::delta_rule::slots::{columns_of, load, pairs, panels, save, slot_at, slots};
@if(DECAYED) import package::delta_rule::slots::spans;
import package::delta_rule::triangles::{lower_transposed_times, solve_lower_transposed};
import package::delta_rule::workspace::{
  pair_at, panel_at, QUERY_IN, QUERY_WRITE, READ_IN, READ_WRITE, span_at, value_at, WRITE_OUT,
};

@group(0) @binding(5) var<storage, read> output_gradient: array<mat4x4f>; // [units, blocks, value_quads]
@group(0) @binding(8) var<storage, read_write> update_gradient: array<mat4x4f>; // [units, blocks, value_quads]

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_state_gradients(invocation: Invocation) {
  let columns = columns_of(invocation);
  if (columns.quad >= shape.value_quads) {
    return;
  }
  let sequence = columns.sequence;
  let quad = columns.quad;
  let width = shape.value_quads;
  load(columns, sequence.chunks);
  for (var n = sequence.chunks; n > 0u; n--) {
    let unit = (sequence.first_chunk + n - 1u) * shape.heads + columns.head;
    let gradient = slot_at(columns, n);
    let gradient_before = slot_at(columns, n - 1u);
    for (var first = 0u; first < shape.blocks; first += 4u) {
      var sums = array<mat4x4f, 4>();
      for (var d = 0u; d < shape.key_quads; d++) {
        let g = slots[gradient + d * width];
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
        var after = slots[gradient + (d + c) * width];
        @if(DECAYED) after = scaled(after, spans[span_at(unit, 0u, shape.blocks, d + c)]);
        slots[gradient_before + (d + c) * width] = after + sums[c];
      }
    }
  }
  save(columns, 0u);
}
