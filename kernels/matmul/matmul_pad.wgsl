// Copies matrices into larger ones; past the source there are zeros.
// Dispatch: one invocation per element of the padded matrices.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

@link
alias Element = f32; // or f16

struct Shape {
  batches: u32,
  rows: u32,
  columns: u32,
  padded_rows: u32,
  padded_columns: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> source: array<Element>; // [batches, rows, columns]
@group(0) @binding(2) var<storage, read_write> padded: array<Element>; // [batches, padded_rows, padded_columns]

@compute @workgroup_size(WORKGROUP_SIZE)
fn matmul_pad(invocation: Invocation) {
  let index = number_of(invocation);
  let column = index % shape.padded_columns;
  let row = index / shape.padded_columns % shape.padded_rows;
  let batch = index / (shape.padded_columns * shape.padded_rows);
  if (batch >= shape.batches) {
    return;
  }
  var value = Element();
  if (row < shape.rows && column < shape.columns) {
    value = source[(batch * shape.rows + row) * shape.columns + column];
  }
  padded[index] = value;
}
