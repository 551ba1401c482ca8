// output = kind(gate) * x.
// Dispatch: one invocation per four elements, folded past 65,535 workgroups.

import package::activation::vectors::shape;
import package::common::activation_kinds::activate;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

@group(0) @binding(1) var<storage, read> gate: array<vec4f>; // [...]
@group(0) @binding(2) var<storage, read> x: array<vec4f>; // [...]
@group(0) @binding(3) var<storage, read_write> output: array<vec4f>; // [...]

@compute @workgroup_size(WORKGROUP_SIZE)
fn gated_activation(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.vectors) {
    return;
  }
  output[index] = activate(gate[index]) * x[index];
}
