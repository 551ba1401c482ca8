// What the kernels of a product share: its extents, how the matrices are stored (sums are in f32), and
// what is done to them: C = op(A) op(B) (+ C before) (+ bias), with op(X) = X or its transpose.

import package::common::invocations::ceil_divide;

override TRANSPOSE_A: bool = false;
override TRANSPOSE_B: bool = false;
override ACCUMULATE: bool = false; // whether C before is added

@link
alias ElementA = f32; // or f16
@link
alias ElementB = f32; // or f16
@link
alias ElementBias = f32; // or f16
@link
alias ElementC = f32; // or f16

struct Shape {
  batches: u32,
  rows: u32, // M
  columns: u32, // N
  reduction: u32, // K
  a_stride: u32, // from one matrix to the next; 0 where all batches share it
  b_stride: u32,
  splits: u32, // of K, each summed on its own
  split_length: u32, // of K
  b_width: u32, // elements of a row of B as it is stored, where it is quantized
  c_width: u32, // columns of the whole of C, where these N are some of them
  c_first: u32, // the first of them
}

@group(0) @binding(0) var<uniform> shape: Shape;

// A part of C, and of the steps of K that it is summed over.
struct Tile {
  row: u32, // its first
  column: u32,
  matrix: u32, // of splits × batches; past the last where there is no such tile
  batch: u32,
  first: u32, // step of K
  last: u32, // one past its last
}

// Tiles of `rows` by `columns` are numbered along a row of C, then down its columns, batches and splits.
fn tile_of(number: u32, rows: u32, columns: u32) -> Tile {
  let across = ceil_divide(shape.columns, columns);
  let down = ceil_divide(shape.rows, rows);
  let matrix = number / (across * down);
  let first = matrix / shape.batches * shape.split_length;
  return Tile(
    number / across % down * rows,
    number % across * columns,
    matrix,
    matrix % shape.batches,
    first,
    min(first + shape.split_length, shape.reduction),
  );
}
