// What a chunk does to the state that enters it: leaving = product * entering + sum, with
//   product = decay[first] * ... * decay[last],  sum = the scan of the chunk from state 0.
// Dispatch: one invocation a batch element, chunk and Lane of channels, in that order.

import package::scan::lane::{FOUR_STEPS, Lane, multiply, multiply_add};

override WORKGROUP_SIZE: u32 = 64u;

struct Shape {
  batch: u32,
  time: u32,
  channels: u32, // Lanes of them
  chunks: u32,
  chunk_size: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
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
  let chunk = index / channels % shape.chunks;
  let first = chunk * shape.chunk_size;
  let steps = min(shape.chunk_size, shape.time - first);
  var at = (index / (channels * shape.chunks) * shape.time + first) * channels + index % channels;
  let end = at + steps * channels;

  var p = decay[at];
  var s = input[at];
  at += channels;
  if (FOUR_STEPS) {
    let end_of_fours = at + (steps - 1u) / 4u * 4u * channels;
    for (; at < end_of_fours; at += 4u * channels) {
      let a0 = decay[at];
      let a1 = decay[at + channels];
      let a2 = decay[at + 2u * channels];
      let a3 = decay[at + 3u * channels];
      s = multiply_add(a0, s, input[at]);
      s = multiply_add(a1, s, input[at + channels]);
      s = multiply_add(a2, s, input[at + 2u * channels]);
      s = multiply_add(a3, s, input[at + 3u * channels]);
      p = multiply(p, multiply(multiply(a0, a1), multiply(a2, a3)));
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
