// The part of the decay's gradient that reaches over a whole chunk, before its decay: per key channel
// Σ_v S * G, of the state S at the chunk's start and the state's gradient G at its end.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per quad of channels.

import package::delta_rule::blocks::{shape, sum_of_rows, times};
import package::delta_rule::workspace::{carried_at, state_at};

override WORKGROUP_SIZE: u32 = 32u;

@group(0) @binding(1) var<storage, read> chunks: array<vec4u>; // [chunks]: first row, rows, state slot
@group(0) @binding(2) var<storage, read> states: array<mat4x4f>; // [slots, heads, key_quads, value_quads]
@group(0) @binding(3) var<storage, read> state_gradients: array<mat4x4f>; // [slots, heads, key_quads, value_quads]
@group(0) @binding(4) var<storage, read_write> carried: array<vec4f>; // [units, blocks, key_quads], of which the first block's

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_over_chunk(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let quad = workgroup.z * WORKGROUP_SIZE + local.x;
  if (quad >= shape.key_quads) {
    return;
  }
  let slot = chunks[workgroup.x].z;
  let state = state_at(slot, workgroup.y, quad);
  let gradient = state_at(slot + 1u, workgroup.y, quad);
  var sum = vec4f();
  for (var v = 0u; v < shape.value_quads; v++) {
    sum += sum_of_rows(transpose(times(states[state + v], state_gradients[gradient + v])));
  }
  carried[carried_at(workgroup.x * shape.heads + workgroup.y, 0u) + quad] = sum;
}
