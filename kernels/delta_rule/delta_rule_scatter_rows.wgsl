// Copies value-like rows from blocks of four back into the order of the sequence.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per block of four rows and quad.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::delta_rule::blocks::shape;
import package::delta_rule::units::{chunks, unit_of};
import package::delta_rule::value_rows::store_rows;
import package::delta_rule::workspace::value_at;

@group(0) @binding(2) var<storage, read> gathered: array<mat4x4f>; // [units, blocks, value_quads]

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_scatter_rows(invocation: Invocation) {
  let unit = unit_of(invocation);
  let block = unit.item / shape.value_quads;
  let quad = unit.item % shape.value_quads;
  if (block >= shape.blocks) {
    return;
  }
  let chunk = chunks[unit.chunk];
  let values = gathered[value_at(unit.number, block) + quad];
  store_rows(chunk.first + 4u * block, chunk.first + chunk.rows, unit.head, quad, values);
}
