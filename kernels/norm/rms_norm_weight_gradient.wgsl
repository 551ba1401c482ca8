// Weight gradient of RMS norm, summed over blocks of BLOCK rows: dw = sum over rows of dy * x * r.
// Dispatch: x = blocks of BLOCK rows, y = ceil(columns / WORKGROUP_SIZE); one invocation a column.

override WORKGROUP_SIZE: u32 = 64u;
override BLOCK: u32 = 64u;

struct Shape {
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [rows, columns]
@group(0) @binding(2) var<storage, read> inverse_rms: array<f32>; // [rows]
@group(0) @binding(3) var<storage, read> y_gradient: array<f32>; // [rows, columns]
@group(0) @binding(4) var<storage, read_write> partial: array<f32>; // [blocks, columns]

@compute @workgroup_size(WORKGROUP_SIZE)
fn rms_norm_weight_gradient(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let column = workgroup.y * WORKGROUP_SIZE + local.x;
  if (column >= shape.columns) {
    return;
  }
  var sum = 0.0;
  let last = min((workgroup.x + 1u) * BLOCK, shape.rows);
  for (var row = workgroup.x * BLOCK; row < last; row++) {
    let index = row * shape.columns + column;
    sum += y_gradient[index] * x[index] * inverse_rms[row];
  }
  partial[workgroup.x * shape.columns + column] = sum;
}
