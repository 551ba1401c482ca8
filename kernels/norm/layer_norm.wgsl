// Layer norm along the last axis, mean and deviation in passes of their own so that a large mean costs
// no digits: y = (x - mean) * inverseSqrt(mean((x - mean)²) + EPSILON) * weight + bias.
// Dispatch: ROWS rows a workgroup, LANES invocations a row, folded past 65,535 workgroups. Where a row is whole
// vec4s the host makes Element a vec4f and counts columns in vec4s.

override LANES: u32 = 64u; // a power of two
override ROWS: u32 = 1u;
override EPSILON: f32 = 1e-5;
override BIASED: bool = false;

alias Element = f32;
alias Sum = f32; // over the lanes of a row

fn total(value: Element) -> f32 {
  return value;
}

struct Shape {
  rows: u32,
  columns: u32,
  width: u32, // floats a row
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<Element>; // [rows, columns]
@group(0) @binding(2) var<storage, read> weight: array<Element>; // [columns]
@group(0) @binding(3) var<storage, read> bias: array<Element>; // [columns]; any where not BIASED
@group(0) @binding(4) var<storage, read_write> y: array<Element>; // [rows, columns]
@group(0) @binding(5) var<storage, read_write> mean: array<f32>; // [rows]
@group(0) @binding(6) var<storage, read_write> inverse_deviation: array<f32>; // [rows]

@compute @workgroup_size(LANES, ROWS)
fn layer_norm(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let row = (workgroup.x + workgroup.y * workgroups.x) * ROWS + local.y;
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
    if (BIASED) {
      value += bias[column];
    }
    y[start + column] = value;
  }
}
