// What a chunk does to the state that enters it: leaving = product * entering + sum, with
//   product = decay[first] * ... * decay[last],  sum = the scan of the chunk from state 0.
// Dispatch: one invocation per batch element, chunk and Slice of channels, in that order.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::scan::chunks::{chunk_of, shape};
import package::scan::slice::{FOUR_STEPS, Slice, multiply, multiply_add};

@group(0) @binding(1) var<storage, read> decay: array<Slice>; // [batch, time, channels]
@group(0) @binding(2) var<storage, read> input: array<Slice>; // [batch, time, channels]
@group(0) @binding(3) var<storage, read_write> product: array<Slice>; // [batch, chunks, channels]
@group(0) @binding(4) var<storage, read_write> sum: array<Slice>; // [batch, chunks, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn scan_chunk(invocation: Invocation) {
  let chunk = chunk_of(invocation);
  if (chunk.batch >= shape.batch) {
    return;
  }
  let channels = shape.channels;
  var at = chunk.begin;
  var p = decay[at];
  var s = input[at];
  at += channels;
  if (FOUR_STEPS) {
    for (; at + 3u * channels < chunk.end; at += 4u * channels) {
      var a: array<Slice, 4>;
      @unroll
      for (var i = 0u; i < 4u; i++) {
        a[i] = decay[at + i * channels];
        s = multiply_add(a[i], s, input[at + i * channels]);
      }
      p = multiply(p, multiply(multiply(a[0], a[1]), multiply(a[2], a[3])));
    }
  }
  for (; at < chunk.end; at += channels) {
    let a = decay[at];
    s = multiply_add(a, s, input[at]);
    p = multiply(a, p);
  }
  product[chunk.place] = p;
  sum[chunk.place] = s;
}
