// The index of the first of the largest logits of each row; a row that holds a NaN gives NO_TOKEN.
// Dispatch: ROWS rows per workgroup, LANES invocations per row, folded past 65,535 workgroups.

import package::common::lanes::{LANES, Lane, ROWS, local_of, row_of};
@if(SUBGROUPS)
import package::sampling::first_largest_subgroups::first_largest;
@else
import package::sampling::first_largest::first_largest;
import package::sampling::no_token::NO_TOKEN;

alias Bits = vec4u; // of floats

struct Shape {
  rows: u32,
  vocabulary: u32,
  kept: u32, // of history
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> logits: array<Bits>; // [rows, vocabulary]
@group(0) @binding(2) var<storage, read_write> tokens: array<u32>; // [rows]
@if(HAS_POSITION)
@group(0) @binding(3) var<storage, read_write> position: array<u32>; // [1]: of the row, then of its token
@if(HAS_HISTORY)
@group(0) @binding(4) var<storage, read_write> history: array<u32>; // [kept]: the last tokens, by position % kept

const NOT_A_NUMBER = 0xffffffffu; // the key of NaN, greater than any other

// Keys are compared as integers: their order is that of the floats, and no compiler may assume NaN away.
fn order_keys(bits: vec4u) -> vec4u {
  let sign = vec4u(0x80000000u);
  let ordered = select(bits | sign, ~bits, (bits & sign) != vec4u(0u));
  let zeros = select(ordered, sign, bits == sign); // -0 equals 0
  return select(zeros, vec4u(NOT_A_NUMBER), (bits & vec4u(0x7fffffffu)) > vec4u(0x7f800000u));
}

@compute @workgroup_size(LANES * ROWS)
fn argmax(lane: Lane) {
  let local = local_of(lane);
  let row = row_of(lane);
  let valid = row < shape.rows;
  // The row in vec4s, whatever its alignment: the first and the last may hold others' elements.
  let start = select(0u, row * shape.vocabulary, valid);
  let end = start + shape.vocabulary;
  var best = 0u; // less than the key of any float
  var place = NO_TOKEN;
  for (var vector = start / 4u + local.x; vector < (end + 3u) / 4u; vector += LANES) {
    let elements = vec4u(vector * 4u) + vec4u(0u, 1u, 2u, 3u);
    let inside = (elements >= vec4u(start)) & (elements < vec4u(end));
    let key = select(vec4u(0u), order_keys(logits[vector]), inside);
    let largest = max(max(key.x, key.y), max(key.z, key.w));
    if (largest > best) {
      best = largest;
      let offset = select(select(select(3u, 2u, key.z == largest), 1u, key.y == largest), 0u,
        key.x == largest);
      place = select(elements.x + offset - start, NO_TOKEN, largest == NOT_A_NUMBER);
    }
  }
  let first = first_largest(local, best, place);
  if (valid && local.x == 0u) {
    tokens[row] = first;
    @if(HAS_POSITION) { // one row
      position[0] += 1u;
      history[position[0] % shape.kept] = first;
    }
  }
}
