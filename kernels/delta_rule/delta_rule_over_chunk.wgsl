// The part of the decay's gradient that reaches over a whole chunk, before its decay: per key channel
// Σ_v S * G, of the state S at the chunk's start and the state's gradient G at its end.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per quad of channels.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::delta_rule::blocks::{shape, sum_of_rows, times};
import package::delta_rule::units::{chunks, unit_of};
import package::delta_rule::workspace::{carried_at, state_at};

@group(0) @binding(2) var<storage, read> states: array<mat4x4f>; // [slots, heads, key_quads, value_quads]
@group(0) @binding(3) var<storage, read> state_gradients: array<mat4x4f>; // [slots, heads, key_quads, value_quads]
@group(0) @binding(4) var<storage, read_write> carried: array<vec4f>; // [units, blocks, key_quads], of which the first block's

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_over_chunk(invocation: Invocation) {
  let unit = unit_of(invocation);
  let quad = unit.item;
  if (quad >= shape.key_quads) {
    return;
  }
  let slot = chunks[unit.chunk].slot;
  let state = state_at(slot, unit.head, quad);
  let gradient = state_at(slot + 1u, unit.head, quad);
  var sum = vec4f();
  for (var v = 0u; v < shape.value_quads; v++) {
    sum += sum_of_rows(transpose(times(states[state + v], state_gradients[gradient + v])));
  }
  carried[carried_at(unit.number, 0u) + quad] = sum;
}
