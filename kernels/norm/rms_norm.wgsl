// RMS norm along the last axis: y = x * inverseSqrt(mean(x * x) + EPSILON) * weight.
// Dispatch: ROWS rows a workgroup, LANES invocations a row, folded past 65,535 workgroups.

override LANES: u32 = 64u; // a power of two
override ROWS: u32 = 1u;
override EPSILON: f32 = 1e-5;

struct Shape {
  rows: u32,
  columns: u32,
  groups: u32, // row r takes the weight of group r % groups
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [rows, columns]
@group(0) @binding(2) var<storage, read> weight: array<f32>; // [groups, columns]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [rows, columns]
@group(0) @binding(4) var<storage, read_write> inverse_rms: array<f32>; // [rows]

var<workgroup> partial: array<f32, LANES * ROWS>;

@compute @workgroup_size(LANES, ROWS)
fn rms_norm(
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
    let value = x[start + column];
    sum += value * value;
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
  let scale = inverseSqrt(partial[slot] / f32(shape.columns) + EPSILON);
  if (!valid) {
    return;
  }
  if (local.x == 0u) {
    inverse_rms[row] = scale;
  }
  for (var column = local.x; column < shape.columns; column += LANES) {
    y[start + column] = x[start + column] * scale * weight[weight_start + column];
  }
}
