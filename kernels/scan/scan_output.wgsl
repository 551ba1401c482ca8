// The scan inside each chunk from the state that enters it: h = decay * h + input.
// Dispatch: one invocation per batch element, chunk and Slice of channels, in that order.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::scan::chunks::{chunk_of, shape};
import package::scan::slice::{FOUR_STEPS, Slice, multiply_add};

@group(0) @binding(1) var<storage, read> decay: array<Slice>; // [batch, time, channels]
@group(0) @binding(2) var<storage, read> input: array<Slice>; // [batch, time, channels]
@if(HAS_CARRY)
@group(0) @binding(3) var<storage, read> carry: array<Slice>; // [batch, chunks, channels]; else every chunk starts from 0
@group(0) @binding(4) var<storage, read_write> output: array<Slice>; // [batch, time, channels]
@group(0) @binding(5) var<storage, read_write> final_state: array<Slice>; // [batch, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn scan_output(invocation: Invocation) {
  let chunk = chunk_of(invocation);
  if (chunk.batch >= shape.batch) {
    return;
  }
  let channels = shape.channels;
  var at = chunk.begin;
  var h = Slice();
  @if(HAS_CARRY)
  h = carry[chunk.place];
  if (FOUR_STEPS) {
    for (; at + 3u * channels < chunk.end; at += 4u * channels) {
      var states: array<Slice, 4>;
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
  for (; at < chunk.end; at += channels) {
    h = multiply_add(decay[at], h, input[at]);
    output[at] = h;
  }
  if (chunk.number == shape.chunks - 1u) {
    final_state[chunk.state] = h;
  }
}
