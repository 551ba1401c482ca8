// Carries the state S over the chunks of a sequence. The update's rows u solve, one after the other,
//   u[i] = v[i] + READ_IN[i] S + Σ_{j < i} READ_WRITE[i, j] u[j]
// or with LOW_RANK Σ_{j < i} READ_KEY[i, j] v[j] in the place of v[i]; then
//   S' = D(chunk) * S + WRITE_OUTᵀ u, with LOW_RANK + KEY_OUTᵀ v.
// All is column by column, so that an invocation walks alone and no barrier is needed. Small terms are
// summed before they join large ones.
// Dispatch: x = sequences, y = heads, z = groups of invocations, one per quad of columns.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::delta_rule::blocks::{scaled, shape};
import package::delta_rule::slots::{columns_of, load, pairs, panels, save, slot_at, slots};
@if(DECAYED) import package::delta_rule::slots::spans;
import package::delta_rule::triangles::{solve_lower, strictly_lower_times};
import package::delta_rule::workspace::{
  KEY_OUT, pair_at, panel_at, READ_IN, READ_KEY, READ_WRITE, span_at, value_at, WRITE_OUT,
};

@if(LOW_RANK) @group(0) @binding(5) var<storage, read> value: array<mat4x4f>; // [units, blocks, value_quads]
@group(0) @binding(8) var<storage, read_write> update: array<mat4x4f>; // [units, blocks, value_quads]; without LOW_RANK v before

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_states(invocation: Invocation) {
  let columns = columns_of(invocation);
  if (columns.quad >= shape.value_quads) {
    return;
  }
  let sequence = columns.sequence;
  let quad = columns.quad;
  let width = shape.value_quads;
  load(columns, 0u);
  for (var n = 0u; n < sequence.chunks; n++) {
    let unit = (sequence.first_chunk + n) * shape.heads + columns.head;
    let state = slot_at(columns, n);
    let next_state = slot_at(columns, n + 1u);
    for (var first = 0u; first < shape.blocks; first += 4u) {
      let rows = value_at(unit, first) + quad;
      var sums = array<mat4x4f, 4>();
      for (var d = 0u; d < shape.key_quads; d++) {
        let s = slots[state + d * width];
        @unroll for (var r = 0u; r < 4u; r++) {
          sums[r] += s * panels[panel_at(unit, READ_IN, first + r) + d];
        }
      }
      @unroll for (var r = 0u; r < 4u; r++) {
        @if(LOW_RANK) update[rows + r * width] = sums[r];
        @else update[rows + r * width] += sums[r];
      }
    }
    for (var i = 0u; i < shape.blocks; i++) {
      let own = value_at(unit, i) + quad;
      var sum = mat4x4f();
      for (var j = 0u; j < i; j++) {
        sum += update[value_at(unit, j) + quad] * pairs[pair_at(unit, READ_WRITE, i, j)];
        @if(LOW_RANK) sum += value[value_at(unit, j) + quad] * pairs[pair_at(unit, READ_KEY, i, j)];
      }
      @if(LOW_RANK) sum += strictly_lower_times(value[own], pairs[pair_at(unit, READ_KEY, i, i)]);
      update[own] = solve_lower(update[own] + sum, pairs[pair_at(unit, READ_WRITE, i, i)]);
    }
    for (var d = 0u; d < shape.key_quads; d += 4u) {
      var sums = array<mat4x4f, 4>();
      for (var j = 0u; j < shape.blocks; j++) {
        let u = update[value_at(unit, j) + quad];
        @unroll for (var c = 0u; c < 4u; c++) {
          sums[c] += u * transpose(panels[panel_at(unit, WRITE_OUT, j) + d + c]);
        }
      }
      @if(LOW_RANK) for (var j = 0u; j < shape.blocks; j++) {
        let v = value[value_at(unit, j) + quad];
        @unroll for (var c = 0u; c < 4u; c++) {
          sums[c] += v * transpose(panels[panel_at(unit, KEY_OUT, j) + d + c]);
        }
      }
      @unroll for (var c = 0u; c < 4u; c++) {
        var before = slots[state + (d + c) * width];
        @if(DECAYED) before = scaled(before, spans[span_at(unit, 0u, shape.blocks, d + c)]);
        slots[next_state + (d + c) * width] = before + sums[c];
      }
    }
  }
  save(columns, sequence.chunks);
}
