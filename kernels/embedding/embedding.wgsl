// output[i] = weight[tokens[i]], a row of zeros where the token is past the vocabulary.
// Of a weight in several blocks of rows, a dispatch writes the rows of the tokens in its block; that of
// the first one the zeros too.
// Dispatch: one invocation per element, folded past 65,535 workgroups.
// Counted in Elements.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
@if(HAS_SCALES)
import package::common::quantized::{integers_of, scale_word_of, step_of, word_of, words_of};

@link
alias Element = f32; // or vec4f (FOURS), where a row is whole vec4s
@link
alias Stored = f32; // the same, or f16 or vec4h

struct Shape {
  count: u32,
  vocabulary: u32,
  width: u32,
  first: u32, // token of this block
  rows: u32, // of this block
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> tokens: array<u32>; // [count]
@if(HAS_SCALES)
@group(0) @binding(2) var<storage, read> weight: array<u32>; // [rows, words], integers
@else
@group(0) @binding(2) var<storage, read> weight: array<Stored>; // [rows, width]
@group(0) @binding(3) var<storage, read_write> output: array<Element>; // [count, width]
@if(HAS_SCALES)
@group(0) @binding(4) var<storage, read> scales: array<u32>; // [rows, scale words]

// An element of a row of the block.
@if(HAS_SCALES)
fn weight_at(row: u32, index: u32) -> Element {
  @if(FOURS) {
    let column = 4u * index;
    let words = words_of(4u * shape.width);
    let integers = integers_of(weight[row * words.x + word_of(column)], column);
    return integers * step_of(scales[row * words.y + scale_word_of(column)], column);
  }
  @if(!FOURS) {
    let words = words_of(shape.width);
    let integers = integers_of(weight[row * words.x + word_of(index)], index - index % 4u);
    return integers[index % 4u] * step_of(scales[row * words.y + scale_word_of(index)], index);
  }
}
@else
fn weight_at(row: u32, index: u32) -> Element {
  return Element(weight[row * shape.width + index]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn embedding(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.count * shape.width) {
    return;
  }
  let token = tokens[index / shape.width];
  let row = token - shape.first; // past the rows where the token is before the first
  if (token < shape.vocabulary && row < shape.rows) {
    output[index] = weight_at(row, index % shape.width);
  } else if (token >= shape.vocabulary && shape.first == 0u) {
    output[index] = Element();
  }
}
