// Sums over the middle axis, TERMS terms at a time: y = sum over n of x. `inner` is counted in Elements.
// Dispatch: one invocation per element of y, folded past 65,535 workgroups.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

override TERMS: u32 = 128u;

@link
alias Element = f32; // or vec4f

struct Shape {
  outer: u32,
  count: u32,
  inner: u32,
  parts: u32, // ceil(count / TERMS), at least 1
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<Element>; // [outer, count, inner]
@group(0) @binding(2) var<storage, read_write> y: array<Element>; // [outer, parts, inner]

@compute @workgroup_size(WORKGROUP_SIZE)
fn sum_axis(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.outer * shape.parts * shape.inner) {
    return;
  }
  let part = index / shape.inner % shape.parts;
  let row = index / (shape.inner * shape.parts) * shape.count;
  let last = min((part + 1u) * TERMS, shape.count);
  var sum = Element();
  for (var n = part * TERMS; n < last; n++) {
    sum += x[(row + n) * shape.inner + index % shape.inner];
  }
  y[index] = sum;
}
