// Copies value-like rows from blocks of four back into the order of the sequence.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per block of four rows and quad.

import package::delta_rule::blocks::shape;
import package::delta_rule::value_rows::store_rows;
import package::delta_rule::workspace::value_at;

override WORKGROUP_SIZE: u32 = 32u;

@group(0) @binding(1) var<storage, read> chunks: array<vec4u>; // [chunks]: first row, rows, state slot
@group(0) @binding(2) var<storage, read> gathered: array<mat4x4f>; // [units, blocks, value_quads]

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_scatter_rows(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = workgroup.z * WORKGROUP_SIZE + local.x;
  let block = index / shape.value_quads;
  let quad = index % shape.value_quads;
  if (block >= shape.blocks) {
    return;
  }
  let chunk = chunks[workgroup.x];
  let values = gathered[value_at(workgroup.x * shape.heads + workgroup.y, block) + quad];
  store_rows(chunk.x + 4u * block, chunk.x + chunk.y, workgroup.y, quad, values);
}
