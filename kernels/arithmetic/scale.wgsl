// output = x * factor.
// Dispatch: one invocation per four elements, folded past 65,535 workgroups.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

struct Shape {
  vectors: u32, // of four elements
  factor: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [...]
@group(0) @binding(2) var<storage, read_write> output: array<vec4f>; // [...]

@compute @workgroup_size(WORKGROUP_SIZE)
fn scale(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.vectors) {
    return;
  }
  output[index] = x[index] * shape.factor;
}
