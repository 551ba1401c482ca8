// output[i] = x[indices[i]], a row of zeros where the index is past the last row.
// Dispatch: one invocation per element, folded past 65,535 workgroups.

import package::arithmetic::indexed_rows::{Bits, indices, shape};
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

@group(0) @binding(1) var<storage, read> x: array<Bits>; // [rows, columns]
@group(0) @binding(3) var<storage, read_write> output: array<Bits>; // [count, columns]

@compute @workgroup_size(WORKGROUP_SIZE)
fn gather_rows(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.count * shape.columns) {
    return;
  }
  let row = indices[index / shape.columns];
  if (row < shape.rows) {
    output[index] = x[row * shape.columns + index % shape.columns];
  } else {
    output[index] = Bits();
  }
}
