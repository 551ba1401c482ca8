// Weight gradient of RMS norm, summed over blocks of BLOCK rows: dw = sum over rows of dy * x * r. The
// groups of a row lie side by side.
// Dispatch: x = blocks of BLOCK rows, y = ceil(groups * columns / LANES); one invocation per column.
// Columns are counted in Elements.

import package::norm::element::Element;

override LANES: u32 = 64u;
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

@compute @workgroup_size(LANES)
fn rms_norm_weight_gradient(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let column = workgroup.y * LANES + local.x;
  let columns = shape.groups * shape.columns;
  if (column >= columns) {
    return;
  }
  let group = column / shape.columns;
  var sum = Element();
  let last = min((workgroup.x + 1u) * BLOCK, shape.rows);
  for (var row = workgroup.x * BLOCK; row < last; row++) {
    let index = row * columns + column;
    sum += output_gradient[index] * x[index] * inverse_rms[row * shape.groups + group];
  }
  partial[workgroup.x * columns + column] = sum;
}
