// The scan inside each chunk from the state that enters it: h = decay * h + input.
// Dispatch: one invocation a batch element, chunk and Lane of channels, in that order.

import package::scan::lane::{FOUR_STEPS, Lane, multiply_add};

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
@if(HAS_CARRY)
@group(0) @binding(3) var<storage, read> carry: array<Lane>; // [batch, chunks, channels]; else every chunk starts from 0
@group(0) @binding(4) var<storage, read_write> output: array<Lane>; // [batch, time, channels]
@group(0) @binding(5) var<storage, read_write> final_state: array<Lane>; // [batch, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn scan_output(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local;
  if (index >= shape.batch * shape.chunks * shape.channels) {
    return;
  }
  let channels = shape.channels;
  let channel = index % channels;
  let chunk = index / channels % shape.chunks;
  let batch = index / (channels * shape.chunks);
  let first = chunk * shape.chunk_size;
  let steps = min(shape.chunk_size, shape.time - first);
  var at = (batch * shape.time + first) * channels + channel;
  let end = at + steps * channels;

  var h = Lane();
  @if(HAS_CARRY)
  h = carry[index];
  if (FOUR_STEPS) {
    let end_of_fours = at + steps / 4u * 4u * channels;
    for (; at < end_of_fours; at += 4u * channels) {
      let h0 = multiply_add(decay[at], h, input[at]);
      let h1 = multiply_add(decay[at + channels], h0, input[at + channels]);
      let h2 = multiply_add(decay[at + 2u * channels], h1, input[at + 2u * channels]);
      h = multiply_add(decay[at + 3u * channels], h2, input[at + 3u * channels]);
      output[at] = h0;
      output[at + channels] = h1;
      output[at + 2u * channels] = h2;
      output[at + 3u * channels] = h;
    }
  }
  for (; at < end; at += channels) {
    h = multiply_add(decay[at], h, input[at]);
    output[at] = h;
  }
  if (chunk == shape.chunks - 1u) {
    final_state[batch * channels + channel] = h;
  }
}
