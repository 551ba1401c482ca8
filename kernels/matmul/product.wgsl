// What the kernels of a product share: its extents, how the matrices are stored (sums are in f32), and
// what is done to them: C = op(A) op(B) (+ C before) (+ bias), with op(X) = X or its transpose.

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
