// x_gradient[indices[i]] = output_gradient[i] into zeros; no two indices are equal.
// Dispatch: one invocation per element, folded past 65,535 workgroups.
// Counted in Bits.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

@link
alias Bits = u32; // of numbers of any type; or vec4u, where a row is whole vec4s

struct Shape {
  rows: u32,
  columns: u32,
  count: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> output_gradient: array<Bits>; // [count, columns]
@group(0) @binding(2) var<storage, read> indices: array<u32>; // [count]
@group(0) @binding(3) var<storage, read_write> x_gradient: array<Bits>; // [rows, columns]

@compute @workgroup_size(WORKGROUP_SIZE)
fn gather_rows_backward(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.count * shape.columns) {
    return;
  }
  let row = indices[index / shape.columns];
  if (row < shape.rows) {
    x_gradient[row * shape.columns + index % shape.columns] = output_gradient[index];
  }
}
