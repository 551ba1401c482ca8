// x_gradient[indices[i]] = output_gradient[i] into zeros; no two indices are equal.
// Dispatch: one invocation per element, folded past 65,535 workgroups.

import package::arithmetic::indexed_rows::{Bits, indices, shape};
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

@group(0) @binding(1) var<storage, read> output_gradient: array<Bits>; // [count, columns]
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
