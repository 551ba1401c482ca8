// Copies rows into longer ones, filled up with 0, or into shorter ones, cut off.
// Dispatch: one invocation per element of y.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

@link
alias Element = f32; // or f16: of x
@link
alias ResultElement = f32; // or f16: of y

struct Shape {
  rows: u32,
  x_columns: u32,
  y_columns: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<Element>; // [rows, x_columns]
@group(0) @binding(2) var<storage, read_write> y: array<ResultElement>; // [rows, y_columns]

@compute @workgroup_size(WORKGROUP_SIZE)
fn resize_rows(invocation: Invocation) {
  let index = number_of(invocation);
  let row = index / shape.y_columns;
  let column = index % shape.y_columns;
  if (row >= shape.rows) {
    return;
  }
  var value = 0.0;
  if (column < shape.x_columns) {
    value = f32(x[row * shape.x_columns + column]);
  }
  y[index] = ResultElement(value);
}
