// Carries the state S over the chunks of a sequence. The update's rows u solve, one after the other,
//   u[i] = v[i] + READ_IN[i] S + Σ_{j < i} READ_WRITE[i, j] u[j]
// or with LOW_RANK Σ_{j < i} READ_KEY[i, j] v[j] in the place of v[i]; then
//   S' = D(chunk) * S + WRITE_OUTᵀ u, with LOW_RANK + KEY_OUTᵀ v.
// All is column by column, so that an invocation walks alone and no barrier is needed. Small terms are
// summed before they join large ones.
// Dispatch: x = sequences, y = heads, z = groups of invocations, one per quad of columns.

import package::delta_rule::blocks::{scaled, shape};
import package::delta_rule::state_columns::{load_state, save_state, states};
import package::delta_rule::triangles::{solve_lower, strictly_lower_times};
import package::delta_rule::workspace::{
  KEY_OUT, pair_at, panel_at, READ_IN, READ_KEY, READ_WRITE, span_at, state_at, value_at, WRITE_OUT,
};

override WORKGROUP_SIZE: u32 = 32u;

@group(0) @binding(1) var<storage, read> sequences: array<vec4u>; // [sequences]: first chunk, chunks, first slot, sequence
@group(0) @binding(2) var<storage, read> panels: array<mat4x4f>; // [units, PANELS, blocks, key_quads]
@group(0) @binding(3) var<storage, read> pairs: array<mat4x4f>; // [units, PAIRS, blocks, blocks]
@if(DECAYED) @group(0) @binding(4) var<storage, read> spans: array<vec4f>; // [units, borders, borders, decay_quads]
@if(LOW_RANK) @group(0) @binding(5) var<storage, read> value: array<mat4x4f>; // [units, blocks, value_quads]
@group(0) @binding(8) var<storage, read_write> update: array<mat4x4f>; // [units, blocks, value_quads]; without LOW_RANK v before

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_states(
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
  load_state(state_at(sequence.z, head, 0u) + quad, sequence.w, head, quad);
  for (var n = 0u; n < sequence.y; n++) {
    let unit = (sequence.x + n) * shape.heads + head;
    let state = state_at(sequence.z + n, head, 0u) + quad;
    let next_state = state_at(sequence.z + n + 1u, head, 0u) + quad;
    for (var first = 0u; first < shape.blocks; first += 4u) {
      let rows = value_at(unit, first) + quad;
      var sums = array<mat4x4f, 4>();
      for (var d = 0u; d < shape.key_quads; d++) {
        let s = states[state + d * width];
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
        var before = states[state + (d + c) * width];
        @if(DECAYED) before = scaled(before, spans[span_at(unit, 0u, shape.blocks, d + c)]);
        states[next_state + (d + c) * width] = before + sums[c];
      }
    }
  }
  save_state(state_at(sequence.z + sequence.y, head, 0u) + quad, sequence.w, head, quad);
}
