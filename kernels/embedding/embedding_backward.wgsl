// weight_gradient[v] = sum of output_gradient[i] over the i with tokens[i] = first token + v, added into
// zeros. A workgroup owns the rows v with v % buckets = its bucket, so every row has one writer, which
// adds in the order of i: no atomics, and the same result each time.
// Dispatch: x = buckets, y = ceil(width / WORKGROUP_SIZE); one invocation per column.
// Counted in Elements.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};

@link
alias Element = f32; // or vec4f, where a row is whole vec4s

struct Shape {
  first_token: u32, // of the rows
  vocabulary: u32, // rows
  width: u32,
  buckets: u32,
  first: u32, // of the tokens of this dispatch
  last: u32, // one past them
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> tokens: array<u32>; // [count]
@group(0) @binding(2) var<storage, read> output_gradient: array<Element>; // [count, width]
@group(0) @binding(3) var<storage, read_write> weight_gradient: array<Element>; // [vocabulary, width]

@compute @workgroup_size(WORKGROUP_SIZE)
fn embedding_backward(invocation: Invocation) {
  let bucket = invocation.workgroup.x;
  let column = invocation.workgroup.y * WORKGROUP_SIZE + invocation.local;
  if (column >= shape.width) {
    return;
  }
  for (var i = shape.first; i < shape.last; i++) {
    let row = tokens[i] - shape.first_token; // past the rows where the token is before the first
    if (row % shape.buckets == bucket && row < shape.vocabulary) {
      weight_gradient[row * shape.width + column] += output_gradient[i * shape.width + column];
    }
  }
}
