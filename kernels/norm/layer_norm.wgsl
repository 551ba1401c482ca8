// Layer norm along the last axis, mean and deviation in passes of their own so that a large mean costs
// no digits: output = (x - mean) * inverseSqrt(mean((x - mean)²) + EPSILON) * weight + bias.
// Dispatch: ROWS rows per workgroup, LANES invocations per row, folded past 65,535 workgroups.
// Columns are counted in Elements.

import package::common::lanes::{LANES, Lane, ROWS, local_of, row_of};
import package::norm::element::{Element, total};
@if(SUBGROUPS)
import package::norm::sum_lanes_subgroups::sum_lanes;
@else
import package::norm::sum_lanes::sum_lanes;

override EPSILON: f32 = 1e-5;

struct Shape {
  rows: u32,
  columns: u32,
  width: u32, // floats per row
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<Element>; // [rows, columns]
@group(0) @binding(2) var<storage, read> weight: array<Element>; // [columns]
@if(HAS_BIAS)
@group(0) @binding(3) var<storage, read> bias: array<Element>; // [columns]
@group(0) @binding(4) var<storage, read_write> output: array<Element>; // [rows, columns]
@group(0) @binding(5) var<storage, read_write> mean: array<f32>; // [rows]
@group(0) @binding(6) var<storage, read_write> inverse_deviation: array<f32>; // [rows]

@compute @workgroup_size(LANES * ROWS)
fn layer_norm(lane: Lane) {
  let local = local_of(lane);
  let row = row_of(lane);
  let valid = row < shape.rows;
  let start = select(0u, row * shape.columns, valid);
  var sum = Element();
  for (var column = local.x; column < shape.columns; column += LANES) {
    sum += x[start + column];
  }
  let center = sum_lanes(local, total(sum)) / f32(shape.width);
  var squares = Element();
  for (var column = local.x; column < shape.columns; column += LANES) {
    let value = x[start + column] - center;
    squares += value * value;
  }
  workgroupBarrier();
  let scale = inverseSqrt(sum_lanes(local, total(squares)) / f32(shape.width) + EPSILON);
  if (!valid) {
    return;
  }
  if (local.x == 0u) {
    mean[row] = center;
    inverse_deviation[row] = scale;
  }
  for (var column = local.x; column < shape.columns; column += LANES) {
    var value = (x[start + column] - center) * scale * weight[column];
    @if(HAS_BIAS)
    value += bias[column];
    output[start + column] = value;
  }
}
