// What the backward kernels need of a query besides its rows: delta = sum over the head of dy * y, the
// log-sum-exp, and the bounds of its segment. delta is summed as those kernels sum dy * value, so that the
// two are equal where a query sees nothing but one value.
// Dispatch: ceil(batch * heads * query_time / WORKGROUP_SIZE) workgroups, folded; one invocation per query.

import package::attention::logits::{BLOCK, dot_add};
import package::attention::terms::Terms;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::common::numbers::{as_nan, is_finite};

@link const VALUE: u32 = 16u; // vec4s of a value

@link alias Element = f32; // or f16: how rows are stored; all arithmetic is in f32

struct Shape {
  batch: u32,
  query_time: u32,
  heads: u32,
  key_length: i32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> y: array<vec4<Element>>; // [batch, query_time, heads, VALUE]
@group(0) @binding(2) var<storage, read> y_gradient: array<vec4<Element>>; // [batch, query_time, heads, VALUE]
@group(0) @binding(3) var<storage, read> log_sum_exp: array<f32>; // [batch, heads, query_time]
@if(HAS_SEGMENTS)
@group(0) @binding(4) var<storage, read> segments: array<vec2i>; // [query_time]: first, and one past the last
@group(0) @binding(5) var<storage, read_write> terms: array<Terms>; // [batch, heads, query_time]

@compute @workgroup_size(WORKGROUP_SIZE)
fn flash_row_terms(invocation: Invocation) {
  let index = number_of(invocation);
  let batch = index / (shape.query_time * shape.heads);
  let head = index / shape.query_time % shape.heads;
  let time = index % shape.query_time;
  if (batch >= shape.batch) {
    return;
  }
  let row = ((batch * shape.query_time + time) * shape.heads + head) * VALUE;
  var delta = 0.0;
  for (var block = 0u; block < VALUE; block += BLOCK) {
    var sum = 0.0;
    for (var d = block; d < min(block + BLOCK, VALUE); d++) {
      sum = dot_add(vec4f(y_gradient[row + d]), vec4f(y[row + d]), sum);
    }
    delta += sum;
  }
  if (!is_finite(delta) && !is_finite_row(row)) {
    delta = as_nan(delta); // as dy * value, of one sign or the other with each key, would be
  }
  var segment = vec2i(0, shape.key_length);
  @if(HAS_SEGMENTS)
  segment = segments[time];
  terms[index] = Terms(log_sum_exp[index], 0.0, delta, segment.x, segment.y);
}

// Whether all of a row of dy is finite; y is not, where a value is infinite.
fn is_finite_row(row: u32) -> bool {
  for (var d = 0u; d < VALUE; d++) {
    let dy = vec4f(y_gradient[row + d]);
    if (!(is_finite(dy.x) && is_finite(dy.y) && is_finite(dy.z) && is_finite(dy.w))) {
      return false;
    }
  }
  return true;
}
