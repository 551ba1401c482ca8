// Four channels side by side, of which an invocation walks BLOCK steps: what a convolution of WIDTH taps reads of
// them, the tail, the WIDTH - 1 inputs before step 0, followed by x.

import package::common::invocations::{Invocation, ceil_divide, number_of};

@link
const WIDTH: u32 = 4u;
override BLOCK: u32 = 64u;

struct Shape {
  batch: u32,
  time: u32,
  fours: u32, // of channels
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [batch, time, fours]
@if(HAS_TAIL)
@group(0) @binding(2) var<storage, read> tail: array<vec4f>; // [batch, WIDTH - 1, fours]; else 0
@group(0) @binding(3) var<storage, read> weight: array<f32>; // [channels, WIDTH]

struct Walk {
  batch: u32, // past the last where the invocation has nothing to do
  block: u32, // of all sequences' blocks
  four: u32,
  first: u32, // step
  end: u32, // one past its last
}

fn walk_of(invocation: Invocation) -> Walk {
  let index = number_of(invocation);
  let blocks = ceil_divide(shape.time, BLOCK);
  let block = index / shape.fours;
  let first = block % blocks * BLOCK;
  return Walk(block / blocks, block, index % shape.fours, first, min(first + BLOCK, shape.time));
}

// Element `step` of the tail followed by x: step 0 is the oldest of the tail.
fn padded(batch: u32, step: u32, four: u32) -> vec4f {
  if (step + 1u >= WIDTH) {
    let t = min(step + 1u - WIDTH, shape.time - 1u); // past the end only where the result is not kept
    return x[(batch * shape.time + t) * shape.fours + four];
  }
  @if(HAS_TAIL)
  return tail[(batch * (WIDTH - 1u) + step) * shape.fours + four];
  @else
  return vec4f();
}

fn taps_at(four: u32, tap: u32) -> vec4f {
  let at = (four * 4u + vec4u(0u, 1u, 2u, 3u)) * WIDTH + tap;
  return vec4f(weight[at.x], weight[at.y], weight[at.z], weight[at.w]);
}
