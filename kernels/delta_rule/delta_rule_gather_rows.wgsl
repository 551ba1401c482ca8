// Copies value-like rows into blocks of four, a chunk and head at a time, padded with zeros.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per block of four rows and quad.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::delta_rule::blocks::shape;
import package::delta_rule::units::{chunks, unit_of};
import package::delta_rule::workspace::value_at;

@group(0) @binding(2) var<storage, read> rows: array<f32>; // [rows, heads, value_dim]
@group(0) @binding(3) var<storage, read_write> gathered: array<mat4x4f>; // [units, blocks, value_quads]

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_gather_rows(invocation: Invocation) {
  let unit = unit_of(invocation);
  let block = unit.item / shape.value_quads;
  let quad = unit.item % shape.value_quads;
  if (block >= shape.blocks) {
    return;
  }
  let chunk = chunks[unit.chunk];
  let columns = 4u * quad + vec4u(0u, 1u, 2u, 3u) < vec4u(shape.value_dim);
  var values = mat4x4f();
  @unroll for (var r = 0u; r < 4u; r++) {
    let row = 4u * block + r;
    let i = ((chunk.first + row) * shape.heads + unit.head) * shape.value_dim + 4u * quad;
    let valid = columns & vec4<bool>(row < chunk.rows);
    values[r] = select(vec4f(), vec4f(rows[i], rows[i + 1u], rows[i + 2u], rows[i + 3u]), valid);
  }
  gathered[value_at(unit.number, block) + quad] = values;
}
