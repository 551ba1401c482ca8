// x_gradient = kind'(x) * output_gradient.
// Dispatch: one invocation per four elements, folded past 65,535 workgroups.

import package::activation::vectors::shape;
import package::common::activation_kinds::activation_slope;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [...]
@group(0) @binding(2) var<storage, read> output_gradient: array<vec4f>; // [...]
@group(0) @binding(3) var<storage, read_write> x_gradient: array<vec4f>; // [...]

@compute @workgroup_size(WORKGROUP_SIZE)
fn activation_backward(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.vectors) {
    return;
  }
  x_gradient[index] = activation_slope(x[index]) * output_gradient[index];
}
