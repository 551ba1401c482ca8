// B as [N, K] in groups of integers along K: see package::common::quantized.

import package::common::quantized::{integers_of, scale_word_of, step_of, word_of, words_of};
import package::matmul::product::shape;

@group(0) @binding(2) var<storage, read> b: array<u32>; // [N, words], the integers
@group(0) @binding(5) var<storage, read> scales: array<u32>; // [N, scale words]

// Four steps of K, from a multiple of 4 on, of a column of op(B).
fn quantized_b(k: u32, column: u32) -> vec4f {
  let words = words_of(shape.b_width);
  let integers = integers_of(b[column * words.x + word_of(k)], k);
  return integers * step_of(scales[column * words.y + scale_word_of(k)], k);
}
