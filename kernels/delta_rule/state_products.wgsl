// Rows of a chunk times a state, or a state's gradient.

import package::delta_rule::blocks::shape;
import package::delta_rule::units::Unit;
import package::delta_rule::workspace::{panel_at, state_at, value_at};

@group(0) @binding(2) var<storage, read> panels: array<mat4x4f>; // [units, PANELS, blocks, key_quads]
@group(0) @binding(3) var<storage, read> pairs: array<mat4x4f>; // [units, PAIRS, blocks, blocks]
@group(0) @binding(6) var<storage, read> slots: array<mat4x4f>; // [slots, heads, key_quads, value_quads]
@group(0) @binding(8) var<storage, read_write> from_slot: array<mat4x4f>; // [units, blocks, value_quads]

// Leaves the products of the rows of a kind with what is in a slot, in the quad of columns that the unit's
// item is.
fn multiply_slot(unit: Unit, plane: u32, slot: u32) {
  let state = state_at(slot, unit.head, 0u) + unit.item;
  for (var first = 0u; first < shape.blocks; first += 4u) {
    var sums = array<mat4x4f, 4>();
    for (var d = 0u; d < shape.key_quads; d++) {
      let s = slots[state + d * shape.value_quads];
      @unroll for (var r = 0u; r < 4u; r++) {
        sums[r] += s * panels[panel_at(unit.number, plane, first + r) + d];
      }
    }
    @unroll for (var r = 0u; r < 4u; r++) {
      from_slot[value_at(unit.number, first + r) + unit.item] = sums[r];
    }
  }
}
