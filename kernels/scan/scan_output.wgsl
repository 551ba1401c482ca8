// The scan inside each chunk from the state that enters it: h = decay * h + input.
// Dispatch: one invocation per batch element, chunk and Lane of channels, in that order.

import package::scan::chunks::{WORKGROUP_SIZE, chunk_of, shape};
import package::scan::lane::{FOUR_STEPS, Lane, multiply_add};

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
  let chunk = chunk_of(index);
  var at = chunk.begin;
  let end = at + chunk.steps * channels;

  var h = Lane();
  @if(HAS_CARRY)
  h = carry[index];
  if (FOUR_STEPS) {
    let end_of_fours = at + chunk.steps / 4u * 4u * channels;
    for (; at < end_of_fours; at += 4u * channels) {
      var states: array<Lane, 4>;
      @unroll
      for (var i = 0u; i < 4u; i++) {
        h = multiply_add(decay[at + i * channels], h, input[at + i * channels]);
        states[i] = h;
      }
      @unroll
      for (var i = 0u; i < 4u; i++) {
        output[at + i * channels] = states[i];
      }
    }
  }
  for (; at < end; at += channels) {
    h = multiply_add(decay[at], h, input[at]);
    output[at] = h;
  }
  if (chunk.number == shape.chunks - 1u) {
    final_state[chunk.batch * channels + chunk.channel] = h;
  }
}
