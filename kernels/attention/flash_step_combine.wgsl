// Makes one of the chunks of flash_step. With m the largest logit of all,
//   y = sum of exp(m_chunk - m) * partial_chunk / sum of exp(m_chunk - m) * sum_chunk.
// Dispatch: ceil(rows * VALUE / WORKGROUP_SIZE) workgroups, folded; one invocation per vec4 of the output.

import package::attention::logits::LOWEST;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

@link const VALUE: u32 = 16u; // vec4s of a value

@link alias Element = f32; // or f16: how rows are stored; all arithmetic is in f32

struct Shape {
  rows: u32, // batch * heads
  chunks: u32,
  seen: u32, // keys that are seen
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> partial: array<vec4f>; // [rows, chunks, VALUE]
@group(0) @binding(2) var<storage, read> weights: array<vec2f>; // [rows, chunks]: largest logit, sum
@group(0) @binding(3) var<storage, read_write> y: array<vec4<Element>>; // [rows, VALUE]

@compute @workgroup_size(WORKGROUP_SIZE)
fn flash_step_combine(invocation: Invocation) {
  let index = number_of(invocation);
  let row = index / VALUE;
  let column = index % VALUE;
  if (row >= shape.rows) {
    return;
  }
  let first = row * shape.chunks;
  var largest = LOWEST;
  for (var chunk = 0u; chunk < shape.chunks; chunk++) {
    largest = max(largest, weights[first + chunk].x);
  }
  var sum = 0.0;
  var o = vec4f();
  for (var chunk = 0u; chunk < shape.chunks; chunk++) {
    let weight = weights[first + chunk];
    let kept = exp(weight.x - largest);
    sum = fma(kept, weight.y, sum);
    o = fma(vec4f(kept), partial[(first + chunk) * VALUE + column], o);
  }
  y[index] = vec4<Element>(select(vec4f(), o / sum, shape.seen > 0u));
}
