// One pass of the sum that undoes a broadcast: x, or x * y where y is given, summed over blocks of its
// outer and its inner axis. Passes follow one another until one block is left of each.
// Dispatch: one invocation per partial sum, folded past 65,535 workgroups. An inner block takes every
// inner_blocks-th element, so that neighbours read neighbours.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

struct Shape {
  outer: u32,
  extent: u32,
  inner: u32,
  outer_blocks: u32,
  inner_blocks: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [outer, extent, inner]
@if(HAS_Y)
@group(0) @binding(2) var<storage, read> y: array<f32>; // [outer, extent, inner]; else 1
@group(0) @binding(3) var<storage, read_write> partial: array<f32>; // [outer_blocks, extent, inner_blocks]

fn at(index: u32) -> f32 {
  @if(HAS_Y)
  return x[index] * y[index];
  @else
  return x[index];
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn sum_to(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.outer_blocks * shape.extent * shape.inner_blocks) {
    return;
  }
  let inner_block = index % shape.inner_blocks;
  let element = index / shape.inner_blocks % shape.extent;
  let outer_block = index / shape.inner_blocks / shape.extent;
  let block = (shape.outer + shape.outer_blocks - 1u) / shape.outer_blocks;
  let stride = shape.inner_blocks;
  let last = min((outer_block + 1u) * block, shape.outer);
  var sum = 0.0;
  for (var outer = outer_block * block; outer < last; outer++) {
    let start = (outer * shape.extent + element) * shape.inner;
    var inner = inner_block;
    for (; inner + 3u * stride < shape.inner; inner += 4u * stride) {
      let i = start + inner;
      sum += (at(i) + at(i + stride)) + (at(i + 2u * stride) + at(i + 3u * stride));
    }
    for (; inner < shape.inner; inner += stride) {
      sum += at(start + inner);
    }
  }
  partial[index] = sum;
}
