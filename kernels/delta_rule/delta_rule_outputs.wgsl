// o[i] = QUERY_IN[i] S + Σ_{j ≤ i} QUERY_WRITE[i, j] u[j], with LOW_RANK + Σ_{j ≤ i} QUERY_KEY[i, j] v[j],
// for each chunk: S is the state at its start, u its update.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per quad of columns.

import package::delta_rule::blocks::shape;
import package::delta_rule::triangles::lower_times;
import package::delta_rule::value_rows::store_rows;
import package::delta_rule::workspace::{
  pair_at, panel_at, QUERY_IN, QUERY_KEY, QUERY_WRITE, state_at, value_at,
};

override WORKGROUP_SIZE: u32 = 32u;

@group(0) @binding(1) var<storage, read> chunks: array<vec4u>; // [chunks]: first row, rows, state slot
@group(0) @binding(2) var<storage, read> panels: array<mat4x4f>; // [units, PANELS, blocks, key_quads]
@group(0) @binding(3) var<storage, read> pairs: array<mat4x4f>; // [units, PAIRS, blocks, blocks]
@group(0) @binding(4) var<storage, read> update: array<mat4x4f>; // [units, blocks, value_quads]
@if(LOW_RANK) @group(0) @binding(5) var<storage, read> value: array<mat4x4f>; // [units, blocks, value_quads]
@group(0) @binding(6) var<storage, read> states: array<mat4x4f>; // [slots, heads, key_quads, value_quads]
@group(0) @binding(8) var<storage, read_write> from_state: array<mat4x4f>; // [units, blocks, value_quads]: QUERY_IN S

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_outputs(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let quad = workgroup.z * WORKGROUP_SIZE + local.x;
  if (quad >= shape.value_quads) {
    return;
  }
  let chunk = chunks[workgroup.x];
  let unit = workgroup.x * shape.heads + workgroup.y;
  let width = shape.value_quads;
  let state = state_at(chunk.z, workgroup.y, 0u) + quad;
  for (var first = 0u; first < shape.blocks; first += 4u) {
    var sums = array<mat4x4f, 4>();
    for (var d = 0u; d < shape.key_quads; d++) {
      let s = states[state + d * width];
      @unroll for (var r = 0u; r < 4u; r++) {
        sums[r] += s * panels[panel_at(unit, QUERY_IN, first + r) + d];
      }
    }
    @unroll for (var r = 0u; r < 4u; r++) {
      from_state[value_at(unit, first + r) + quad] = sums[r];
    }
  }
  for (var i = 0u; i < shape.blocks; i++) {
    let own = value_at(unit, i) + quad;
    var sum = from_state[own];
    for (var j = 0u; j < i; j++) {
      sum += update[value_at(unit, j) + quad] * pairs[pair_at(unit, QUERY_WRITE, i, j)];
      @if(LOW_RANK) sum += value[value_at(unit, j) + quad] * pairs[pair_at(unit, QUERY_KEY, i, j)];
    }
    sum += lower_times(update[own], pairs[pair_at(unit, QUERY_WRITE, i, i)]);
    @if(LOW_RANK) sum += lower_times(value[own], pairs[pair_at(unit, QUERY_KEY, i, i)]);
    store_rows(chunk.x + 4u * i, chunk.x + chunk.y, workgroup.y, quad, sum);
  }
}
