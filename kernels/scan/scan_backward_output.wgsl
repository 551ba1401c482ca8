// The gradients inside each chunk, backwards from the gradient r of the state that leaves it:
//   input_gradient = output_gradient + r,  decay_gradient = input_gradient * h[t - 1],
//   r = decay * input_gradient;  the first chunk leaves r = initial_state_gradient, where there is a state.
// Dispatch: one invocation per batch element, chunk and Lane of channels, in that order.

import package::scan::chunks::{WORKGROUP_SIZE, chunk_of, shape};
import package::scan::lane::{FOUR_STEPS, Lane, add, multiply};

@group(0) @binding(1) var<storage, read> decay: array<Lane>; // [batch, time, channels]
@group(0) @binding(2) var<storage, read> output: array<Lane>; // [batch, time, channels]
@if(HAS_INITIAL_STATE)
@group(0) @binding(3) var<storage, read> initial_state: array<Lane>; // [batch, channels]; else h[-1] is 0
@group(0) @binding(4) var<storage, read> output_gradient: array<Lane>; // [batch, time, channels]
@if(HAS_CARRY)
@group(0) @binding(5) var<storage, read> carry: array<Lane>; // [batch, chunks, channels]; else no gradient enters from behind
@group(0) @binding(6) var<storage, read_write> decay_gradient: array<Lane>; // [batch, time, channels]
@group(0) @binding(7) var<storage, read_write> input_gradient: array<Lane>; // [batch, time, channels]
@if(HAS_INITIAL_STATE)
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
  let chunk = chunk_of(index);
  let begin = chunk.begin;
  let state = chunk.batch * channels + chunk.channel;
  let rest = (chunk.steps - 1u) % 4u + 1u; // steps in front of the fours, at least the chunk's first
  var behind = begin + chunk.steps * channels;

  var r = Lane();
  @if(HAS_CARRY)
  r = carry[index];
  if (FOUR_STEPS) {
    while (behind > begin + rest * channels) {
      behind -= 4u * channels;
      var g: array<Lane, 4>;
      @unroll
      for (var n = 0u; n < 4u; n++) {
        const i = 3u - n;
        g[i] = add(output_gradient[behind + i * channels], r);
        r = multiply(decay[behind + i * channels], g[i]);
      }
      @unroll
      for (var i = 0u; i < 4u; i++) {
        let at = behind + i * channels;
        decay_gradient[at] = multiply(g[i], output[at - channels]);
        input_gradient[at] = g[i];
      }
    }
  }
  while (behind > begin) {
    behind -= channels;
    var before = Lane();
    if (behind > begin || chunk.number > 0u) {
      before = output[behind - channels];
    } else {
      @if(HAS_INITIAL_STATE)
      before = initial_state[state];
    }
    let g = add(output_gradient[behind], r);
    decay_gradient[behind] = multiply(g, before);
    input_gradient[behind] = g;
    r = multiply(decay[behind], g);
  }
  @if(HAS_INITIAL_STATE)
  if (chunk.number == 0u) {
    initial_state_gradient[state] = r;
  }
}
