// RMS norm along the last axis: output = x * inverseSqrt(mean(x * x) + EPSILON) * weight.
// Dispatch: ROWS rows per workgroup, LANES invocations per row, folded past 65,535 workgroups.
// Columns are counted in Elements.

import package::common::lanes::{LANES, Lane, ROWS, local_of, row_of};
import package::norm::element::{Element, total};
import package::norm::grouped_rows::shape;
@if(SUBGROUPS)
import package::norm::sum_lanes_subgroups::sum_lanes;
@else
import package::norm::sum_lanes::sum_lanes;

override EPSILON: f32 = 1e-5;

@group(0) @binding(1) var<storage, read> x: array<Element>; // [rows, columns]
@group(0) @binding(2) var<storage, read> weight: array<Element>; // [groups, columns]
@group(0) @binding(3) var<storage, read_write> output: array<Element>; // [rows, columns]
@group(0) @binding(4) var<storage, read_write> inverse_rms: array<f32>; // [rows]

@compute @workgroup_size(LANES * ROWS)
fn rms_norm(lane: Lane) {
  let local = local_of(lane);
  let row = row_of(lane);
  let valid = row < shape.rows;
  let start = select(0u, row * shape.columns, valid);
  let weight_start = row % shape.groups * shape.columns;
  var sum = Element();
  for (var column = local.x; column < shape.columns; column += LANES) {
    let value = x[start + column];
    sum += value * value;
  }
  let squares = sum_lanes(local, total(sum));
  let scale = inverseSqrt(squares / f32(shape.width) + EPSILON);
  if (!valid) {
    return;
  }
  if (local.x == 0u) {
    inverse_rms[row] = scale;
  }
  for (var column = local.x; column < shape.columns; column += LANES) {
    output[start + column] = x[start + column] * scale * weight[weight_start + column];
  }
}
