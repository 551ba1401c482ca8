// Stored elements as 32-bit or as 16-bit floats, into a part of a tensor.
// Dispatch: eight elements per invocation, folded past 65,535 workgroups.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
@if(TO_F16)
import package::storage::halves::{are_past_halves, halves_of};
import package::storage::stored::stored_eight;

alias Bits = vec4u; // four words

struct Shape {
  elements: u32,
  first: u32, // of the tensor, that is written; a multiple of 8
  flag: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read_write> target_words: array<Bits>; // f32; or f16, two per word
@if(TO_F16)
@group(0) @binding(3) var<storage, read_write> flags: array<atomic<u32>>; // 1: a number is past 16 bits

// Writes the first so many of four words.
fn write(index: u32, words: vec4u, count: u32) {
  if (count >= 4u) {
    target_words[index] = words;
    return;
  }
  for (var i = 0u; i < count; i++) {
    target_words[index][i] = words[i];
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn convert(invocation: Invocation) {
  let index = number_of(invocation);
  if (8u * index >= shape.elements) {
    return;
  }
  let count = shape.elements - 8u * index;
  let values = stored_eight(index);
  let place = shape.first / 8u + index;
  @if(TO_F16) {
    // Past the last element there may be anything.
    let first = select(vec4f(), values[0], vec4u(0u, 1u, 2u, 3u) < vec4u(count));
    let second = select(vec4f(), values[1], vec4u(4u, 5u, 6u, 7u) < vec4u(count));
    if (any(are_past_halves(first) | are_past_halves(second))) {
      atomicMax(&flags[shape.flag], 1u);
    }
    let low = halves_of(first);
    let high = halves_of(second);
    let even = vec4u(low.x, low.z, high.x, high.z);
    let odd = vec4u(low.y, low.w, high.y, high.w);
    write(place, even | (odd << vec4u(16u)), (count + 1u) / 2u);
  }
  @if(!TO_F16) {
    write(2u * place, bitcast<vec4u>(values[0]), count);
    if (count > 4u) {
      write(2u * place + 1u, bitcast<vec4u>(values[1]), count - 4u);
    }
  }
}
