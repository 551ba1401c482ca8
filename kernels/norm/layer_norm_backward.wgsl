// Input gradient of layer norm, with r = inverse_deviation, x̂ = (x - mean) * r and dŷ = dy * weight:
//   dx = r * (dŷ - mean(dŷ) - x̂ * mean(dŷ * x̂)).
// Dispatch: ROWS rows per workgroup, LANES invocations per row, folded past 65,535 workgroups.
// Columns are counted in Elements.

import package::common::lanes::{LANES, Lane, ROWS, local_of, row_of};
import package::norm::element::{Element, total};
@if(SUBGROUPS)
import package::norm::sum_lanes_subgroups::sum_lanes;
@else
import package::norm::sum_lanes::sum_lanes;

struct Shape {
  rows: u32,
  columns: u32,
  width: u32, // floats per row
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<Element>; // [rows, columns]
@group(0) @binding(2) var<storage, read> weight: array<Element>; // [columns]
@group(0) @binding(3) var<storage, read> mean: array<f32>; // [rows]
@group(0) @binding(4) var<storage, read> inverse_deviation: array<f32>; // [rows]
@group(0) @binding(5) var<storage, read> output_gradient: array<Element>; // [rows, columns]
@group(0) @binding(6) var<storage, read_write> x_gradient: array<Element>; // [rows, columns]

@compute @workgroup_size(LANES * ROWS)
fn layer_norm_backward(lane: Lane) {
  let local = local_of(lane);
  let row = row_of(lane);
  let valid = row < shape.rows;
  let safe_row = select(0u, row, valid);
  let start = safe_row * shape.columns;
  let center = mean[safe_row];
  let scale = inverse_deviation[safe_row];
  var sum = Element();
  var projection = Element();
  for (var column = local.x; column < shape.columns; column += LANES) {
    let gradient = output_gradient[start + column] * weight[column];
    sum += gradient;
    projection += gradient * ((x[start + column] - center) * scale);
  }
  let sums = sum_lanes(local, vec2f(total(sum), total(projection)));
  if (!valid) {
    return;
  }
  let means = sums / f32(shape.width);
  for (var column = local.x; column < shape.columns; column += LANES) {
    let gradient = output_gradient[start + column] * weight[column];
    let normalized = (x[start + column] - center) * scale;
    x_gradient[start + column] = scale * (gradient - means.x - normalized * means.y);
  }
}
