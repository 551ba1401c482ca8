// Weight gradient of RMS norm, summed over blocks of BLOCK rows: dw = sum over rows of dy * x * r. The
// groups of a row lie side by side.
// Dispatch: x = blocks of BLOCK rows, y = ceil(groups * columns / WORKGROUP_SIZE); one invocation per column.
// Columns are counted in Elements.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::norm::element::Element;

override BLOCK: u32 = 64u;

struct Shape {
  rows: u32,
  columns: u32,
  groups: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<Element>; // [rows, groups, columns]
@group(0) @binding(2) var<storage, read> inverse_rms: array<f32>; // [rows, groups]
@group(0) @binding(3) var<storage, read> output_gradient: array<Element>; // [rows, groups, columns]
@group(0) @binding(4) var<storage, read_write> partial: array<Element>; // [blocks, groups, columns]

@compute @workgroup_size(WORKGROUP_SIZE)
fn rms_norm_weight_gradient(invocation: Invocation) {
  let block = invocation.workgroup.x;
  let column = invocation.workgroup.y * WORKGROUP_SIZE + invocation.local;
  let columns = shape.groups * shape.columns;
  if (column >= columns) {
    return;
  }
  let group = column / shape.columns;
  var sum = Element();
  let last = min((block + 1u) * BLOCK, shape.rows);
  for (var row = block * BLOCK; row < last; row++) {
    let index = row * columns + column;
    sum += output_gradient[index] * x[index] * inverse_rms[row * shape.groups + group];
  }
  partial[block * columns + column] = sum;
}
