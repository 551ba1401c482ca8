// norm = sqrt(sum of the partial sums of squares), clip = min(1, maximum / norm).
// Dispatch: one workgroup.

import package::common::invocations::WORKGROUP_SIZE;

struct Shape {
  count: u32,
  maximum: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> partial: array<f32>; // [count]
@group(0) @binding(2) var<storage, read_write> norm: array<f32>; // [1]
@group(0) @binding(3) var<storage, read_write> clip: array<f32>; // [1]

var<workgroup> sums: array<f32, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn gradient_norm(@builtin(local_invocation_id) local: vec3u) {
  var sum = 0.0;
  for (var i = local.x; i < shape.count; i += WORKGROUP_SIZE) {
    sum += partial[i];
  }
  sums[local.x] = sum;
  for (var stride = WORKGROUP_SIZE / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (local.x < stride) {
      sums[local.x] += sums[local.x + stride];
    }
  }
  if (local.x > 0u) {
    return;
  }
  let maximum = shape.maximum;
  let value = sqrt(sums[0]);
  norm[0] = value;
  if (value <= maximum) {
    clip[0] = 1.0;
  } else {
    clip[0] = maximum / value; // NaN where the norm is
  }
}
