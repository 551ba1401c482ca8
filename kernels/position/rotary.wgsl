// Rotary position embedding: the pair (u, v) at position p turns by the angle p * frequency:
//   u' = u cos - v sin,  v' = u sin + v cos; by minus the angle where INVERSE.
// A frequency is a fraction of a turn in 64-bit fixed point, so that p * frequency modulo a turn is
// exact integer arithmetic at any position.
// Dispatch: one invocation per position and pair, or copied element, for all heads; folded past 65,535
// workgroups.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::position::turn::turn_at;

override INTERLEAVED: bool = false; // pairs are (2 i, 2 i + 1); else (i, i + pairs)
override INVERSE: bool = false;

struct Shape {
  batch: u32,
  time: u32,
  heads: u32,
  dim: u32,
  pairs: u32, // 2 * pairs <= dim; the rest is copied
  offset: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [batch, time, heads, dim]
@group(0) @binding(2) var<storage, read> frequencies: array<vec2u>; // [pairs]: high and low word
@if(HAS_POSITIONS)
@group(0) @binding(3) var<storage, read> positions: array<u32>; // [batch, time]; positions come from a tensor; else from the offset
@group(0) @binding(4) var<storage, read_write> output: array<f32>; // [batch, time, heads, dim]

@compute @workgroup_size(WORKGROUP_SIZE)
fn rotary(invocation: Invocation) {
  let index = number_of(invocation);
  let slots = shape.dim - shape.pairs;
  if (index >= shape.batch * shape.time * slots) {
    return;
  }
  let place = index / slots;
  let slot = index % slots;
  let start = place * shape.heads * shape.dim;
  if (slot >= shape.pairs) {
    for (var head = 0u; head < shape.heads; head++) {
      let i = start + head * shape.dim + shape.pairs + slot;
      output[i] = x[i];
    }
    return;
  }
  var position = shape.offset + place % shape.time;
  @if(HAS_POSITIONS)
  position = positions[place];
  let frequency = frequencies[slot];
  let cos_sin = turn_at(position, frequency);
  let c = cos_sin.x;
  let s = select(cos_sin.y, -cos_sin.y, INVERSE);
  let first = start + select(slot, 2u * slot, INTERLEAVED);
  let second = first + select(shape.pairs, 1u, INTERLEAVED);
  for (var head = 0u; head < shape.heads; head++) {
    let i = head * shape.dim;
    let u = x[first + i];
    let v = x[second + i];
    output[first + i] = u * c - v * s;
    output[second + i] = u * s + v * c;
  }
}
