// Parameter gradients of layer norm, summed over blocks of BLOCK rows:
//   dw = sum over rows of dy * (x - mean) * inverse_deviation,  db = sum over rows of dy.
// Dispatch: x = blocks of BLOCK rows, y = ceil(columns / WORKGROUP_SIZE); one invocation per column.
// Columns are counted in Elements.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::norm::element::Element;

override BLOCK: u32 = 64u;

struct Shape {
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<Element>; // [rows, columns]
@group(0) @binding(2) var<storage, read> mean: array<f32>; // [rows]
@group(0) @binding(3) var<storage, read> inverse_deviation: array<f32>; // [rows]
@group(0) @binding(4) var<storage, read> output_gradient: array<Element>; // [rows, columns]
@group(0) @binding(5) var<storage, read_write> weight_partial: array<Element>; // [blocks, columns]
@group(0) @binding(6) var<storage, read_write> bias_partial: array<Element>; // [blocks, columns]

@compute @workgroup_size(WORKGROUP_SIZE)
fn layer_norm_parameter_gradients(invocation: Invocation) {
  let block = invocation.workgroup.x;
  let column = invocation.workgroup.y * WORKGROUP_SIZE + invocation.local;
  if (column >= shape.columns) {
    return;
  }
  var weight_sum = Element();
  var bias_sum = Element();
  let last = min((block + 1u) * BLOCK, shape.rows);
  for (var row = block * BLOCK; row < last; row++) {
    let index = row * shape.columns + column;
    weight_sum += output_gradient[index] * (x[index] - mean[row]) * inverse_deviation[row];
    bias_sum += output_gradient[index];
  }
  weight_partial[block * shape.columns + column] = weight_sum;
  bias_partial[block * shape.columns + column] = bias_sum;
}
