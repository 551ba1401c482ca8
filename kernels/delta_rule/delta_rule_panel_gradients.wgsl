// panel_gradients[i] = (state or its gradient) · rows[i], values summed, for one kind of rows:
//   queries: the state at the chunk's start, with the output's gradient
//   read rows: the state at the chunk's start, with the update's gradient
//   write rows: the state's gradient at the chunk's end, with the update
//   keys: the state's gradient at the chunk's end, with the value
// That is the kind's gradient where rows are decayed to that border (QUERY_IN, WRITE_OUT, …).
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per quad of channels.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::delta_rule::blocks::shape;
import package::delta_rule::units::{chunks, unit_of};
import package::delta_rule::workspace::{panel_gradient_at, state_at, value_at, WRITE};

@group(0) @binding(2) var<storage, read> rows: array<mat4x4f>; // [units, blocks, value_quads]
@group(0) @binding(3) var<storage, read> states: array<mat4x4f>; // [slots, heads, key_quads, value_quads]
@group(0) @binding(4) var<storage, read_write> panel_gradients: array<mat4x4f>; // [units, ROWS, blocks, key_quads]

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_panel_gradients(invocation: Invocation) {
  let unit = unit_of(invocation);
  let quad = unit.item;
  if (quad >= shape.key_quads) {
    return;
  }
  let slot = chunks[unit.chunk].slot + select(0u, 1u, shape.plane >= WRITE);
  let state = state_at(slot, unit.head, quad);
  for (var first = 0u; first < shape.blocks; first += 4u) {
    var sums = array<mat4x4f, 4>();
    for (var v = 0u; v < shape.value_quads; v++) {
      let s = transpose(states[state + v]);
      @unroll for (var r = 0u; r < 4u; r++) {
        sums[r] += s * rows[value_at(unit.number, first + r) + v];
      }
    }
    @unroll for (var r = 0u; r < 4u; r++) {
      panel_gradients[panel_gradient_at(unit.number, shape.plane, first + r) + quad] = sums[r];
    }
  }
}
