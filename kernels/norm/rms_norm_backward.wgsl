// Input gradient of RMS norm, with r = inverse_rms and dŷ = dy * weight:
//   dx = r * (dŷ - x * r² * mean(dŷ * x)).
// Dispatch: ROWS rows a workgroup, LANES invocations a row, folded past 65,535 workgroups.

override LANES: u32 = 64u; // a power of two
override ROWS: u32 = 1u;

struct Shape {
  rows: u32,
  columns: u32,
  groups: u32, // row r takes the weight of group r % groups
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [rows, columns]
@group(0) @binding(2) var<storage, read> weight: array<f32>; // [groups, columns]
@group(0) @binding(3) var<storage, read> inverse_rms: array<f32>; // [rows]
@group(0) @binding(4) var<storage, read> y_gradient: array<f32>; // [rows, columns]
@group(0) @binding(5) var<storage, read_write> x_gradient: array<f32>; // [rows, columns]

var<workgroup> partial: array<f32, LANES * ROWS>;

@compute @workgroup_size(LANES, ROWS)
fn rms_norm_backward(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let row = (workgroup.x + workgroup.y * workgroups.x) * ROWS + local.y;
  let valid = row < shape.rows;
  let start = select(0u, row * shape.columns, valid);
  let weight_start = row % shape.groups * shape.columns;
  var sum = 0.0;
  for (var column = local.x; column < shape.columns; column += LANES) {
    sum += y_gradient[start + column] * weight[weight_start + column] * x[start + column];
  }
  let slot = local.y * LANES;
  partial[slot + local.x] = sum;
  for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (local.x < stride) {
      partial[slot + local.x] += partial[slot + local.x + stride];
    }
  }
  workgroupBarrier();
  if (!valid) {
    return;
  }
  let scale = inverse_rms[row];
  let projection = partial[slot] / f32(shape.columns) * scale * scale;
  for (var column = local.x; column < shape.columns; column += LANES) {
    let normalized_gradient = y_gradient[start + column] * weight[weight_start + column];
    x_gradient[start + column] = scale * (normalized_gradient - x[start + column] * projection);
  }
}
