// Copies a block of columns: output[row, output_start + column] = x[row, x_start + column].
// Dispatch: one invocation per element, folded past 65,535 workgroups.
// Counted in Bits.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

@link
alias Bits = u32; // of numbers of any type; or vec4u, where all counts are whole vec4s

struct Shape {
  rows: u32,
  columns: u32, // copied
  x_columns: u32,
  x_start: u32,
  output_columns: u32,
  output_start: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<Bits>; // [rows, x_columns]
@group(0) @binding(2) var<storage, read_write> output: array<Bits>; // [rows, output_columns]

@compute @workgroup_size(WORKGROUP_SIZE)
fn copy_columns(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.rows * shape.columns) {
    return;
  }
  let row = index / shape.columns;
  let column = index % shape.columns;
  output[row * shape.output_columns + shape.output_start + column] =
    x[row * shape.x_columns + shape.x_start + column];
}
