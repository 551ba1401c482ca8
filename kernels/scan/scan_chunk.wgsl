// What a chunk does to the state that enters it: leaving = product * entering + sum, with
//   product = decay[first] * ... * decay[last],  sum = the scan of the chunk from state 0.
// Dispatch: one invocation per batch element, chunk and Lane of channels, in that order.

import package::scan::chunks::{WORKGROUP_SIZE, chunk_of, shape};
import package::scan::lane::{FOUR_STEPS, Lane, multiply, multiply_add};

@group(0) @binding(1) var<storage, read> decay: array<Lane>; // [batch, time, channels]
@group(0) @binding(2) var<storage, read> input: array<Lane>; // [batch, time, channels]
@group(0) @binding(3) var<storage, read_write> product: array<Lane>; // [batch, chunks, channels]
@group(0) @binding(4) var<storage, read_write> sum: array<Lane>; // [batch, chunks, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn scan_chunk(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local;
  if (index >= shape.batch * shape.chunks * shape.channels) {
    return;
  }
  let channels = shape.channels;
  let chunk = chunk_of(index);
  var at = chunk.begin;
  let end = at + chunk.steps * channels;

  var p = decay[at];
  var s = input[at];
  at += channels;
  if (FOUR_STEPS) {
    let end_of_fours = at + (chunk.steps - 1u) / 4u * 4u * channels;
    for (; at < end_of_fours; at += 4u * channels) {
      var a: array<Lane, 4>;
      @unroll
      for (var i = 0u; i < 4u; i++) {
        a[i] = decay[at + i * channels];
        s = multiply_add(a[i], s, input[at + i * channels]);
      }
      p = multiply(p, multiply(multiply(a[0], a[1]), multiply(a[2], a[3])));
    }
  }
  for (; at < end; at += channels) {
    let a = decay[at];
    s = multiply_add(a, s, input[at]);
    p = multiply(a, p);
  }
  product[index] = p;
  sum[index] = s;
}
