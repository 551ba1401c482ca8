// Parameter gradients of layer norm, summed over blocks of BLOCK rows:
//   dw = sum over rows of dy * (x - mean) * inverse_deviation,  db = sum over rows of dy.
// Dispatch: x = blocks of BLOCK rows, y = ceil(columns / LANES); one invocation per column.
// Columns are counted in Elements.

import package::norm::element::Element;

override LANES: u32 = 64u;
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

@compute @workgroup_size(LANES)
fn layer_norm_parameter_gradients(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let column = workgroup.y * LANES + local.x;
  if (column >= shape.columns) {
    return;
  }
  var weight_sum = Element();
  var bias_sum = Element();
  let last = min((workgroup.x + 1u) * BLOCK, shape.rows);
  for (var row = workgroup.x * BLOCK; row < last; row++) {
    let index = row * shape.columns + column;
    weight_sum += output_gradient[index] * (x[index] - mean[row]) * inverse_deviation[row];
    bias_sum += output_gradient[index];
  }
  weight_partial[workgroup.x * shape.columns + column] = weight_sum;
  bias_partial[workgroup.x * shape.columns + column] = bias_sum;
}
