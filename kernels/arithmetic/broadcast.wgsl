// output = a + b or a * b, where b repeats along a: index of b = index of a / inner % extent.
// Dispatch: one invocation per four elements, folded past 65,535 workgroups.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

override MULTIPLY: bool = false;
override PATTERN: u32 = 2u; // 0: extent is a whole number of vec4s, inner is 1; 1: inner is; 2: any

struct Shape {
  vectors: u32, // of four elements of a
  inner: u32, // in vec4s where PATTERN is 1
  extent: u32, // in vec4s where PATTERN is 0
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> a: array<vec4f>; // [outer, extent, inner]
@group(0) @binding(2) var<storage, read> b: array<vec4f>; // [extent]
@group(0) @binding(3) var<storage, read_write> output: array<vec4f>; // [outer, extent, inner]

fn b_at(index: u32) -> f32 {
  let element = index / shape.inner % shape.extent;
  return b[element / 4u][element % 4u];
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn broadcast(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.vectors) {
    return;
  }
  var other: vec4f;
  if (PATTERN == 0u) {
    other = b[index % shape.extent];
  } else if (PATTERN == 1u) {
    other = vec4f(b_at(index));
  } else {
    let first = index * 4u;
    other = vec4f(b_at(first), b_at(first + 1u), b_at(first + 2u), b_at(first + 3u));
  }
  output[index] = select(a[index] + other, a[index] * other, MULTIPLY);
}
