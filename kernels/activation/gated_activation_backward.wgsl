// gate_gradient = kind'(gate) * x * output_gradient, x_gradient = kind(gate) * output_gradient.
// Dispatch: one invocation per four elements, folded past 65,535 workgroups.

import package::activation::vectors::shape;
import package::common::activation_kinds::{activate, activation_slope};
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

@group(0) @binding(1) var<storage, read> gate: array<vec4f>; // [...]
@group(0) @binding(2) var<storage, read> x: array<vec4f>; // [...]
@group(0) @binding(3) var<storage, read> output_gradient: array<vec4f>; // [...]
@group(0) @binding(4) var<storage, read_write> gate_gradient: array<vec4f>; // [...]
@group(0) @binding(5) var<storage, read_write> x_gradient: array<vec4f>; // [...]

@compute @workgroup_size(WORKGROUP_SIZE)
fn gated_activation_backward(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.vectors) {
    return;
  }
  let gradient = output_gradient[index];
  gate_gradient[index] = activation_slope(gate[index]) * x[index] * gradient;
  x_gradient[index] = activate(gate[index]) * gradient;
}
