// Sums the products of the splits of K, in their order: C = sum over splits of partial, to which
// C before (ACCUMULATE), a bias (HAS_BIAS) and another matrix (HAS_ADDEND) may be added.
// Dispatch: one invocation per element of the columns of C that are written, or per four (FOURS).

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::matmul::product::{ACCUMULATE, ElementBias, ElementC};

@if(FOURS)
alias Sum = vec4f;
@else
alias Sum = f32;
@if(FOURS)
alias StoredBias = vec4<ElementBias>;
@else
alias StoredBias = ElementBias;
@if(FOURS)
alias StoredC = vec4<ElementC>;
@else
alias StoredC = ElementC;

// Columns are counted in Sums.
struct Shape {
  splits: u32,
  batches: u32,
  rows: u32,
  columns: u32,
  partial_rows: u32, // of which those past `rows` are padding
  partial_columns: u32,
  c_width: u32, // columns of the whole of C
  c_first: u32, // the first that is written
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> partial: array<Sum>; // [splits, batches, partial_rows, partial_columns]
@if(HAS_BIAS)
@group(0) @binding(2) var<storage, read> bias: array<StoredBias>; // [c_width]
@group(0) @binding(3) var<storage, read_write> c: array<StoredC>; // [batches, rows, c_width]
@if(HAS_ADDEND)
@group(0) @binding(4) var<storage, read> addend: array<Sum>; // [batches, rows, c_width]

@compute @workgroup_size(WORKGROUP_SIZE)
fn matmul_sum(invocation: Invocation) {
  let index = number_of(invocation);
  let column = index % shape.columns;
  let row = index / shape.columns % shape.rows;
  let batch = index / (shape.columns * shape.rows);
  if (batch >= shape.batches) {
    return;
  }
  var i = (batch * shape.partial_rows + row) * shape.partial_columns + column;
  var sum = Sum();
  for (var split = 0u; split < shape.splits; split++) {
    sum += partial[i];
    i += shape.batches * shape.partial_rows * shape.partial_columns;
  }
  @if(HAS_BIAS)
  sum += Sum(bias[shape.c_first + column]);
  let place = (batch * shape.rows + row) * shape.c_width + shape.c_first + column;
  @if(HAS_ADDEND)
  sum += addend[place];
  if (ACCUMULATE) {
    sum += Sum(c[place]);
  }
  c[place] = StoredC(sum);
}
