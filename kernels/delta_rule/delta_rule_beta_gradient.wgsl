// dbeta[i] = k[i] · dWRITE[i], as WRITE = beta * k; k is -READ.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per block of four rows.

import package::delta_rule::blocks::shape;
import package::delta_rule::workspace::{panel_at, panel_gradient_at, READ, WRITE};

override WORKGROUP_SIZE: u32 = 32u;

@group(0) @binding(1) var<storage, read> chunks: array<vec4u>; // [chunks]: first row, rows, state slot
@group(0) @binding(2) var<storage, read> panels: array<mat4x4f>; // [units, PANELS, blocks, key_quads]
@group(0) @binding(3) var<storage, read> panel_gradients: array<mat4x4f>; // [units, ROWS, blocks, key_quads]
@group(0) @binding(4) var<storage, read_write> beta_gradient: array<f32>; // [rows, heads]

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_beta_gradient(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let block = workgroup.z * WORKGROUP_SIZE + local.x;
  if (block >= shape.blocks) {
    return;
  }
  let chunk = chunks[workgroup.x];
  let unit = workgroup.x * shape.heads + workgroup.y;
  let reads = panel_at(unit, READ, block);
  let writes = panel_gradient_at(unit, WRITE, block);
  var sums = vec4f();
  for (var d = 0u; d < shape.key_quads; d++) {
    let a = panels[reads + d];
    let g = panel_gradients[writes + d];
    sums -= vec4f(dot(a[0], g[0]), dot(a[1], g[1]), dot(a[2], g[2]), dot(a[3], g[3]));
  }
  @unroll for (var r = 0u; r < 4u; r++) {
    let row = 4u * block + r;
    if (row < chunk.y) {
      beta_gradient[(chunk.x + row) * shape.heads + workgroup.y] = sums[r];
    }
  }
}
