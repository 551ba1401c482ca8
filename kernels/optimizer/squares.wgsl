// Partial sums of squares of one tensor, BLOCK vec4s an invocation, written from `start` on.
// Dispatch: one invocation a partial sum, folded past 65,535 workgroups.

override INTERLEAVED: bool = true; // neighbours read neighbours; else each reads a run of its own

struct Shape {
  size: u32,
  block: u32, // vec4s an invocation
  start: u32,
  count: u32, // partial sums of this tensor
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [size]
@group(0) @binding(2) var<storage, read_write> partial: array<f32>; // [partial sums of all tensors]

@compute @workgroup_size(64)
fn squares(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let group = workgroup.x + workgroup.y * workgroups.x;
  let index = group * 64u + local.x;
  if (index >= shape.count) {
    return;
  }
  let first = select(index * shape.block, group * 64u * shape.block + local.x, INTERLEAVED);
  let stride = select(1u, 64u, INTERLEAVED);
  let whole = shape.size / 4u;
  var sum = vec4f(0.0);
  for (var i = 0u; i < shape.block; i++) {
    let vector = first + i * stride;
    if (vector < whole) {
      sum += x[vector] * x[vector];
    } else if (vector == whole) {
      let inside = vec4u(0u, 1u, 2u, 3u) < vec4u(shape.size % 4u);
      let rest = select(vec4f(0.0), x[vector], inside);
      sum += rest * rest;
    }
  }
  partial[shape.start + index] = (sum.x + sum.y) + (sum.z + sum.w);
}
