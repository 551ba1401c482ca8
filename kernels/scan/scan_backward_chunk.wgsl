// What a chunk does to the gradient of the state that leaves it, on the way back:
//   entering_gradient = product * leaving_gradient + sum, with
//   product = decay[first] * ... * decay[last],  sum: r = decay * (output_gradient + r) backwards from 0.
// Dispatch: one invocation a batch element, chunk and Lane of channels, in that order.

import package::scan::lane::{FOUR_STEPS, Lane, add, multiply};

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
@group(0) @binding(2) var<storage, read> output_gradient: array<Lane>; // [batch, time, channels]
@group(0) @binding(3) var<storage, read_write> product: array<Lane>; // [batch, chunks, channels]
@group(0) @binding(4) var<storage, read_write> sum: array<Lane>; // [batch, chunks, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn scan_backward_chunk(
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
  let begin = (index / (channels * shape.chunks) * shape.time + first) * channels + index % channels;
  // One step behind the next one to take, so that an unsigned index never goes below 0.
  var behind = begin + (steps - 1u) * channels;

  var p = decay[behind];
  var r = multiply(p, output_gradient[behind]);
  if (FOUR_STEPS) {
    let begin_of_fours = begin + (steps - 1u) % 4u * channels;
    while (behind > begin_of_fours) {
      behind -= 4u * channels;
      let a0 = decay[behind];
      let a1 = decay[behind + channels];
      let a2 = decay[behind + 2u * channels];
      let a3 = decay[behind + 3u * channels];
      r = multiply(a3, add(output_gradient[behind + 3u * channels], r));
      r = multiply(a2, add(output_gradient[behind + 2u * channels], r));
      r = multiply(a1, add(output_gradient[behind + channels], r));
      r = multiply(a0, add(output_gradient[behind], r));
      p = multiply(p, multiply(multiply(a0, a1), multiply(a2, a3)));
    }
  }
  while (behind > begin) {
    behind -= channels;
    let a = decay[behind];
    r = multiply(a, add(output_gradient[behind], r));
    p = multiply(a, p);
  }
  product[index] = p;
  sum[index] = r;
}
