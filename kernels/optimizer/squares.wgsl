// Partial sums of squares of up to six tensors, BLOCK vec4s per invocation, written from `start` on.
// Dispatch: one invocation per partial sum, those of the first tensor first, folded past 65,535 workgroups.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

override INTERLEAVED: bool = true; // neighbours read neighbours; else each reads a run of its own

@link const TENSORS: u32 = 1u;

struct Shape {
  block: u32, // vec4s an invocation
  start: u32,
  size0: u32,
  size1: u32,
  size2: u32,
  size3: u32,
  size4: u32,
  size5: u32,
  count0: u32, // partial sums
  count1: u32,
  count2: u32,
  count3: u32,
  count4: u32,
  count5: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x0: array<vec4f>; // [size0]
@if(HAS_X1)
@group(0) @binding(2) var<storage, read> x1: array<vec4f>; // [size1]
@if(HAS_X2)
@group(0) @binding(3) var<storage, read> x2: array<vec4f>; // [size2]
@if(HAS_X3)
@group(0) @binding(4) var<storage, read> x3: array<vec4f>; // [size3]
@if(HAS_X4)
@group(0) @binding(5) var<storage, read> x4: array<vec4f>; // [size4]
@if(HAS_X5)
@group(0) @binding(6) var<storage, read> x5: array<vec4f>; // [size5]
@group(0) @binding(7) var<storage, read_write> partial: array<f32>; // [partial sums of all tensors]

fn x_at(which: u32, at: u32) -> vec4f {
  @if(HAS_X1)
  if (which == 1u) { return x1[at]; }
  @if(HAS_X2)
  if (which == 2u) { return x2[at]; }
  @if(HAS_X3)
  if (which == 3u) { return x3[at]; }
  @if(HAS_X4)
  if (which == 4u) { return x4[at]; }
  @if(HAS_X5)
  if (which == 5u) { return x5[at]; }
  return x0[at];
}

fn size_of(which: u32) -> u32 {
  switch (which) {
    case 0u: { return shape.size0; }
    case 1u: { return shape.size1; }
    case 2u: { return shape.size2; }
    case 3u: { return shape.size3; }
    case 4u: { return shape.size4; }
    default: { return shape.size5; }
  }
}

fn count_of(which: u32) -> u32 {
  switch (which) {
    case 0u: { return shape.count0; }
    case 1u: { return shape.count1; }
    case 2u: { return shape.count2; }
    case 3u: { return shape.count3; }
    case 4u: { return shape.count4; }
    default: { return shape.count5; }
  }
}

// The sum of an invocation, by its number among those of the tensor.
fn sum_of(which: u32, index: u32) -> f32 {
  let together = index / WORKGROUP_SIZE * WORKGROUP_SIZE; // the first of those that interleave
  let first = select(index * shape.block, together * shape.block + index % WORKGROUP_SIZE, INTERLEAVED);
  let stride = select(1u, WORKGROUP_SIZE, INTERLEAVED);
  let size = size_of(which);
  var sum = vec4f(0.0);
  for (var i = 0u; i < shape.block; i++) {
    let vector = first + i * stride;
    if (vector < size / 4u) {
      let four = x_at(which, vector);
      sum += four * four;
    } else if (vector == size / 4u) {
      let inside = vec4u(0u, 1u, 2u, 3u) < vec4u(size % 4u);
      let rest = select(vec4f(0.0), x_at(which, vector), inside);
      sum += rest * rest;
    }
  }
  return (sum.x + sum.y) + (sum.z + sum.w);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn squares(invocation: Invocation) {
  let index = number_of(invocation);
  // The tensor of this invocation, and where its sums begin.
  var which = 0u;
  var start = 0u;
  var end = count_of(0u);
  @unroll for (var i = 1u; i < TENSORS; i++) {
    if (index >= end) {
      which = i;
      start = end;
    }
    end += select(0u, count_of(i), index >= end);
  }
  if (index < end) {
    partial[shape.start + index] = sum_of(which, index - start);
  }
}
