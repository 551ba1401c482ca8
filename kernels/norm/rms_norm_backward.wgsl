// Input gradient of RMS norm, with r = inverse_rms and dŷ = dy * weight:
//   dx = r * (dŷ - x * r² * mean(dŷ * x)) (+ dx before).
// Dispatch: ROWS rows per workgroup, LANES invocations per row, folded past 65,535 workgroups.
// Columns are counted in Elements.

import package::common::lanes::{LANES, Lane, ROWS, local_of, row_of};
import package::norm::element::{Element, total};
import package::norm::grouped_rows::shape;
@if(SUBGROUPS)
import package::norm::sum_lanes_subgroups::sum_lanes;
@else
import package::norm::sum_lanes::sum_lanes;

override ACCUMULATE: bool = false; // whether dx before is added

@group(0) @binding(1) var<storage, read> x: array<Element>; // [rows, columns]
@group(0) @binding(2) var<storage, read> weight: array<Element>; // [groups, columns]
@group(0) @binding(3) var<storage, read> inverse_rms: array<f32>; // [rows]
@group(0) @binding(4) var<storage, read> output_gradient: array<Element>; // [rows, columns]
@group(0) @binding(5) var<storage, read_write> x_gradient: array<Element>; // [rows, columns]

@compute @workgroup_size(LANES * ROWS)
fn rms_norm_backward(lane: Lane) {
  let local = local_of(lane);
  let row = row_of(lane);
  let valid = row < shape.rows;
  let start = select(0u, row * shape.columns, valid);
  let weight_start = row % shape.groups * shape.columns;
  var sum = Element();
  for (var column = local.x; column < shape.columns; column += LANES) {
    sum += output_gradient[start + column] * weight[weight_start + column] * x[start + column];
  }
  let row_sum = sum_lanes(local, total(sum));
  if (!valid) {
    return;
  }
  let scale = inverse_rms[row];
  let projection = row_sum / f32(shape.width) * scale * scale;
  for (var column = local.x; column < shape.columns; column += LANES) {
    let normalized_gradient = output_gradient[start + column] * weight[weight_start + column];
    var gradient = scale * (normalized_gradient - x[start + column] * projection);
    if (ACCUMULATE) {
      gradient += x_gradient[start + column];
    }
    x_gradient[start + column] = gradient;
  }
}
