// output = kind(x).
// Dispatch: one invocation four elements, folded past 65,535 workgroups.

import package::common::activation_kinds::activate;

struct Shape {
  vectors: u32, // of four elements
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [...]
@group(0) @binding(2) var<storage, read_write> output: array<vec4f>; // [...]

@compute @workgroup_size(64)
fn activation(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * 64u + local.x;
  if (index >= shape.vectors) {
    return;
  }
  output[index] = activate(x[index]);
}
