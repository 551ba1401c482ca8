// The gradients inside each chunk, backwards from the gradient r of the state that leaves it:
//   input_gradient = output_gradient + r,  decay_gradient = input_gradient * h[t - 1],
//   r = decay * input_gradient;  the first chunk leaves r = initial_state_gradient.
// Dispatch: one invocation a batch element, chunk and Lane of channels, in that order.

import package::scan::lane::{FOUR_STEPS, Lane, add, multiply, multiply_add};

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
@group(0) @binding(2) var<storage, read> output: array<Lane>; // [batch, time, channels]
@if(HAS_INITIAL_STATE)
@group(0) @binding(3) var<storage, read> initial_state: array<Lane>; // [batch, channels]; else h[-1] is 0
@group(0) @binding(4) var<storage, read> output_gradient: array<Lane>; // [batch, time, channels]
@if(HAS_CARRY)
@group(0) @binding(5) var<storage, read> carry: array<Lane>; // [batch, chunks, channels]; else no gradient enters from behind
@group(0) @binding(6) var<storage, read_write> decay_gradient: array<Lane>; // [batch, time, channels]
@group(0) @binding(7) var<storage, read_write> input_gradient: array<Lane>; // [batch, time, channels]
@group(0) @binding(8) var<storage, read_write> initial_state_gradient: array<Lane>; // [batch, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn scan_backward_output(
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
  let begin = (batch * shape.time + first) * channels + channel;
  let rest = (steps - 1u) % 4u + 1u; // steps in front of the fours, at least the chunk's first
  var behind = begin + steps * channels;

  var r = Lane();
  @if(HAS_CARRY)
  r = carry[index];
  if (FOUR_STEPS) {
    while (behind > begin + rest * channels) {
      behind -= 4u * channels;
      let g3 = add(output_gradient[behind + 3u * channels], r);
      let g2 = multiply_add(decay[behind + 3u * channels], g3, output_gradient[behind + 2u * channels]);
      let g1 = multiply_add(decay[behind + 2u * channels], g2, output_gradient[behind + channels]);
      let g0 = multiply_add(decay[behind + channels], g1, output_gradient[behind]);
      r = multiply(decay[behind], g0);
      decay_gradient[behind] = multiply(g0, output[behind - channels]);
      decay_gradient[behind + channels] = multiply(g1, output[behind]);
      decay_gradient[behind + 2u * channels] = multiply(g2, output[behind + channels]);
      decay_gradient[behind + 3u * channels] = multiply(g3, output[behind + 2u * channels]);
      input_gradient[behind] = g0;
      input_gradient[behind + channels] = g1;
      input_gradient[behind + 2u * channels] = g2;
      input_gradient[behind + 3u * channels] = g3;
    }
  }
  while (behind > begin) {
    behind -= channels;
    var before = Lane();
    if (behind > begin || chunk > 0u) {
      before = output[behind - channels];
    } else {
      @if(HAS_INITIAL_STATE)
      before = initial_state[batch * channels + channel];
    }
    let g = add(output_gradient[behind], r);
    decay_gradient[behind] = multiply(g, before);
    input_gradient[behind] = g;
    r = multiply(decay[behind], g);
  }
  if (chunk == 0u) {
    initial_state_gradient[batch * channels + channel] = r;
  }
}
