// Sums over the middle axis, TERMS terms at a time: y = sum over n of x.
// Dispatch: one invocation per element of y.

override WORKGROUP_SIZE: u32 = 64u;
override TERMS: u32 = 4096u;

struct Shape {
  outer: u32,
  count: u32,
  inner: u32,
  parts: u32, // ceil(count / TERMS)
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [outer, count, inner]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [outer, parts, inner]

@compute @workgroup_size(WORKGROUP_SIZE)
fn sum_axis(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local.x;
  if (index >= shape.outer * shape.parts * shape.inner) {
    return;
  }
  let part = index / shape.inner % shape.parts;
  let row = index / (shape.inner * shape.parts) * shape.count;
  let last = min((part + 1u) * TERMS, shape.count);
  var sum = 0.0;
  for (var n = part * TERMS; n < last; n++) {
    sum += x[(row + n) * shape.inner + index % shape.inner];
  }
  y[index] = sum;
}
