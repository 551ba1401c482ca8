// Rotary position embedding: the pair (u, v) at position p turns by the angle p * frequency:
//   u' = u cos - v sin,  v' = u sin + v cos; by minus the angle where INVERSE.
// A frequency is a fraction of a turn in 64-bit fixed point, so that p * frequency modulo a turn is
// exact integer arithmetic at any position.
// Dispatch: one invocation per position and pair, or copied element, for all heads; folded past 65,535
// workgroups. Where all counts are whole vec4s (FOURS), it takes four.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::position::turn::turn_at;

override INTERLEAVED: bool = false; // pairs are (2 i, 2 i + 1); else (i, i + pairs)
override INVERSE: bool = false;

@if(FOURS)
alias Element = vec4f;
@else
alias Element = f32;

struct Shape {
  batch: u32,
  time: u32,
  heads: u32,
  other_heads: u32,
  dim: u32, // in Elements, as pairs are
  pairs: u32, // 2 * pairs <= dim; the rest is copied
  offset: u32,
}

// The cosine and the sine of an angle, or of four.
struct Turn {
  c: Element,
  s: Element,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<Element>; // [batch, time, heads, dim]
@group(0) @binding(2) var<storage, read> frequencies: array<vec2u>; // [pairs]: high and low word
@if(HAS_POSITIONS)
@group(0) @binding(3) var<storage, read> positions: array<u32>; // [batch, time]; positions come from a tensor; else from the offset
@group(0) @binding(4) var<storage, read_write> output: array<Element>; // [batch, time, heads, dim]
@if(HAS_OTHER)
@group(0) @binding(5) var<storage, read> other: array<Element>; // [batch, time, other_heads, dim]
@if(HAS_OTHER_OUTPUT)
@group(0) @binding(6) var<storage, read_write> other_output: array<Element>; // [batch, time, other_heads, dim]

fn turn_of(place: u32, slot: u32) -> Turn {
  var position = shape.offset + place % shape.time;
  @if(HAS_POSITIONS)
  position = positions[place];
  var turn: Turn;
  @if(FOURS) {
    @unroll for (var j = 0u; j < 4u; j++) {
      let cos_sin = turn_at(position, frequencies[4u * slot + j]);
      turn.c[j] = cos_sin.x;
      turn.s[j] = cos_sin.y;
    }
  }
  @if(!FOURS) {
    let cos_sin = turn_at(position, frequencies[slot]);
    turn = Turn(cos_sin.x, cos_sin.y);
  }
  turn.s = select(turn.s, -turn.s, INVERSE);
  return turn;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn rotary(invocation: Invocation) {
  let index = number_of(invocation);
  let slots = shape.dim - shape.pairs;
  if (index >= shape.batch * shape.time * slots) {
    return;
  }
  let place = index / slots;
  let slot = index - place * slots;
  let start = place * shape.heads * shape.dim;
  let other_start = place * shape.other_heads * shape.dim;
  if (slot >= shape.pairs) {
    for (var head = 0u; head < shape.heads; head++) {
      let i = start + head * shape.dim + shape.pairs + slot;
      output[i] = x[i];
    }
    @if(HAS_OTHER)
    for (var head = 0u; head < shape.other_heads; head++) {
      let i = other_start + head * shape.dim + shape.pairs + slot;
      other_output[i] = other[i];
    }
    return;
  }
  let turn = turn_of(place, slot);
  let first = select(slot, 2u * slot, INTERLEAVED);
  let second = first + select(shape.pairs, 1u, INTERLEAVED);
  for (var head = 0u; head < shape.heads; head++) {
    let i = start + head * shape.dim;
    let u = x[first + i];
    let v = x[second + i];
    output[first + i] = u * turn.c - v * turn.s;
    output[second + i] = u * turn.s + v * turn.c;
  }
  @if(HAS_OTHER)
  for (var head = 0u; head < shape.other_heads; head++) {
    let i = other_start + head * shape.dim;
    let u = other[first + i];
    let v = other[second + i];
    other_output[first + i] = u * turn.c - v * turn.s;
    other_output[second + i] = u * turn.s + v * turn.c;
  }
}
