// With LOW_RANK, for each chunk:
//   dv[j] = KEY_OUT[j] G + Σ_{i ≥ j} QUERY_KEY[i, j] do[i] + Σ_{i > j} READ_KEY[i, j] y[i]
// do is the output's gradient, y the update's, G that of the state at the chunk's end.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per quad of columns.

import package::delta_rule::blocks::shape;
import package::delta_rule::triangles::{lower_transposed_times, strictly_lower_transposed_times};
import package::delta_rule::value_rows::store_rows;
import package::delta_rule::workspace::{
  KEY_OUT, pair_at, panel_at, QUERY_KEY, READ_KEY, state_at, value_at,
};

override WORKGROUP_SIZE: u32 = 32u;

@group(0) @binding(1) var<storage, read> chunks: array<vec4u>; // [chunks]: first row, rows, state slot
@group(0) @binding(2) var<storage, read> panels: array<mat4x4f>; // [units, PANELS, blocks, key_quads]
@group(0) @binding(3) var<storage, read> pairs: array<mat4x4f>; // [units, PAIRS, blocks, blocks]
@group(0) @binding(4) var<storage, read> output_gradient: array<mat4x4f>; // [units, blocks, value_quads]
@group(0) @binding(5) var<storage, read> update_gradient: array<mat4x4f>; // [units, blocks, value_quads]
@group(0) @binding(6) var<storage, read> state_gradients: array<mat4x4f>; // [slots, heads, key_quads, value_quads]
@group(0) @binding(8) var<storage, read_write> from_state: array<mat4x4f>; // [units, blocks, value_quads]: KEY_OUT G

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_value_gradients(
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
  let gradient = state_at(chunk.z + 1u, workgroup.y, 0u) + quad;
  for (var first = 0u; first < shape.blocks; first += 4u) {
    var sums = array<mat4x4f, 4>();
    for (var d = 0u; d < shape.key_quads; d++) {
      let g = state_gradients[gradient + d * width];
      @unroll for (var r = 0u; r < 4u; r++) {
        sums[r] += g * panels[panel_at(unit, KEY_OUT, first + r) + d];
      }
    }
    @unroll for (var r = 0u; r < 4u; r++) {
      from_state[value_at(unit, first + r) + quad] = sums[r];
    }
  }
  for (var j = 0u; j < shape.blocks; j++) {
    let own = value_at(unit, j) + quad;
    var sum = from_state[own];
    sum += lower_transposed_times(output_gradient[own], pairs[pair_at(unit, QUERY_KEY, j, j)]);
    sum += strictly_lower_transposed_times(update_gradient[own], pairs[pair_at(unit, READ_KEY, j, j)]);
    for (var i = j + 1u; i < shape.blocks; i++) {
      let later = value_at(unit, i) + quad;
      sum += output_gradient[later] * transpose(pairs[pair_at(unit, QUERY_KEY, i, j)]);
      sum += update_gradient[later] * transpose(pairs[pair_at(unit, READ_KEY, i, j)]);
    }
    store_rows(chunk.x + 4u * j, chunk.x + chunk.y, workgroup.y, quad, sum);
  }
}
