// Sums over the middle axis: y = sum over n of x.
// Dispatch: one invocation per element of y.

override WORKGROUP_SIZE: u32 = 64u;

struct Shape {
  outer: u32,
  count: u32,
  inner: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [outer, count, inner]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [outer, inner]

@compute @workgroup_size(WORKGROUP_SIZE)
fn sum_axis(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local.x;
  if (index >= shape.outer * shape.inner) {
    return;
  }
  let first = index / shape.inner * shape.count * shape.inner + index % shape.inner;
  var sum = 0.0;
  for (var n = 0u; n < shape.count; n++) {
    sum += x[first + n * shape.inner];
  }
  y[index] = sum;
}
