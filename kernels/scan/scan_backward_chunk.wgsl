// What a chunk does to the gradient of the state that leaves it, on the way back:
//   entering_gradient = product * leaving_gradient + sum, with
//   product = decay[first] * ... * decay[last],  sum: r = decay * (output_gradient + r) backwards from 0.
// Dispatch: one invocation per batch element, chunk and Slice of channels, in that order.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::scan::chunks::{chunk_of, shape};
import package::scan::slice::{FOUR_STEPS, Slice, add, multiply};

@group(0) @binding(1) var<storage, read> decay: array<Slice>; // [batch, time, channels]
@group(0) @binding(2) var<storage, read> output_gradient: array<Slice>; // [batch, time, channels]
@group(0) @binding(3) var<storage, read_write> product: array<Slice>; // [batch, chunks, channels]
@group(0) @binding(4) var<storage, read_write> sum: array<Slice>; // [batch, chunks, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn scan_backward_chunk(invocation: Invocation) {
  let chunk = chunk_of(invocation);
  if (chunk.batch >= shape.batch) {
    return;
  }
  let channels = shape.channels;
  // One step behind the next one to take, so that an unsigned index never goes below 0.
  var behind = chunk.end - channels;

  var p = decay[behind];
  var r = multiply(p, output_gradient[behind]);
  if (FOUR_STEPS) {
    while (behind >= chunk.begin + 4u * channels) {
      behind -= 4u * channels;
      var a: array<Slice, 4>;
      @unroll
      for (var n = 0u; n < 4u; n++) {
        const i = 3u - n;
        a[i] = decay[behind + i * channels];
        r = multiply(a[i], add(output_gradient[behind + i * channels], r));
      }
      p = multiply(p, multiply(multiply(a[0], a[1]), multiply(a[2], a[3])));
    }
  }
  while (behind > chunk.begin) {
    behind -= channels;
    let a = decay[behind];
    r = multiply(a, add(output_gradient[behind], r));
    p = multiply(a, p);
  }
  product[chunk.place] = p;
  sum[chunk.place] = r;
}
