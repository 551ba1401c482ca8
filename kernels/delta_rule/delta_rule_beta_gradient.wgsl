// dbeta[i] = k[i] · dWRITE[i], as WRITE = beta * k; k is -READ.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per block of four rows.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::delta_rule::blocks::shape;
import package::delta_rule::units::{chunks, unit_of};
import package::delta_rule::workspace::{panel_at, panel_gradient_at, READ, WRITE};

@group(0) @binding(2) var<storage, read> panels: array<mat4x4f>; // [units, PANELS, blocks, key_quads]
@group(0) @binding(3) var<storage, read> panel_gradients: array<mat4x4f>; // [units, ROWS, blocks, key_quads]
@group(0) @binding(4) var<storage, read_write> beta_gradient: array<f32>; // [rows, heads]

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_beta_gradient(invocation: Invocation) {
  let unit = unit_of(invocation);
  let block = unit.item;
  if (block >= shape.blocks) {
    return;
  }
  let chunk = chunks[unit.chunk];
  let reads = panel_at(unit.number, READ, block);
  let writes = panel_gradient_at(unit.number, WRITE, block);
  var sums = vec4f();
  for (var d = 0u; d < shape.key_quads; d++) {
    let a = panels[reads + d];
    let g = panel_gradients[writes + d];
    sums -= vec4f(dot(a[0], g[0]), dot(a[1], g[1]), dot(a[2], g[2]), dot(a[3], g[3]));
  }
  @unroll for (var r = 0u; r < 4u; r++) {
    let row = 4u * block + r;
    if (row < chunk.rows) {
      beta_gradient[(chunk.first + row) * shape.heads + unit.head] = sums[r];
    }
  }
}
