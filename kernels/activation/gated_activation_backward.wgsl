// gate_gradient = kind'(gate) * x * output_gradient, x_gradient = kind(gate) * output_gradient.
// Dispatch: one invocation four elements, folded past 65,535 workgroups.

import package::common::activation_kinds::{activate, activation_slope};

struct Shape {
  vectors: u32, // of four elements
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> gate: array<vec4f>; // [...]
@group(0) @binding(2) var<storage, read> x: array<vec4f>; // [...]
@group(0) @binding(3) var<storage, read> output_gradient: array<vec4f>; // [...]
@group(0) @binding(4) var<storage, read_write> gate_gradient: array<vec4f>; // [...]
@group(0) @binding(5) var<storage, read_write> x_gradient: array<vec4f>; // [...]

@compute @workgroup_size(64)
fn gated_activation_backward(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * 64u + local.x;
  if (index >= shape.vectors) {
    return;
  }
  let gradient = output_gradient[index];
  gate_gradient[index] = activation_slope(gate[index]) * x[index] * gradient;
  x_gradient[index] = activate(gate[index]) * gradient;
}
