// The gradients inside each chunk, backwards from the gradient r of the state that leaves it:
//   input_gradient = output_gradient + r,  decay_gradient = input_gradient * h[t - 1],
//   r = decay * input_gradient;  the first chunk leaves r = initial_state_gradient, where there is a state.
// Dispatch: one invocation per batch element, chunk and Slice of channels, in that order.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::scan::chunks::{chunk_of, shape};
import package::scan::slice::{FOUR_STEPS, Slice, add, multiply};

@group(0) @binding(1) var<storage, read> decay: array<Slice>; // [batch, time, channels]
@group(0) @binding(2) var<storage, read> output: array<Slice>; // [batch, time, channels]
@if(HAS_INITIAL_STATE)
@group(0) @binding(3) var<storage, read> initial_state: array<Slice>; // [batch, channels]; else h[-1] is 0
@group(0) @binding(4) var<storage, read> output_gradient: array<Slice>; // [batch, time, channels]
@if(HAS_CARRY)
@group(0) @binding(5) var<storage, read> carry: array<Slice>; // [batch, chunks, channels]; else no gradient enters from behind
@group(0) @binding(6) var<storage, read_write> decay_gradient: array<Slice>; // [batch, time, channels]
@group(0) @binding(7) var<storage, read_write> input_gradient: array<Slice>; // [batch, time, channels]
@if(HAS_INITIAL_STATE)
@group(0) @binding(8) var<storage, read_write> initial_state_gradient: array<Slice>; // [batch, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn scan_backward_output(invocation: Invocation) {
  let chunk = chunk_of(invocation);
  if (chunk.batch >= shape.batch) {
    return;
  }
  let channels = shape.channels;
  var behind = chunk.end;
  var r = Slice();
  @if(HAS_CARRY)
  r = carry[chunk.place];
  if (FOUR_STEPS) {
    while (behind > chunk.begin + 4u * channels) { // the first step reads the state before the chunk
      behind -= 4u * channels;
      var g: array<Slice, 4>;
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
  while (behind > chunk.begin) {
    behind -= channels;
    var before = Slice();
    if (behind > chunk.begin || chunk.number > 0u) {
      before = output[behind - channels];
    } else {
      @if(HAS_INITIAL_STATE)
      before = initial_state[chunk.state];
    }
    let g = add(output_gradient[behind], r);
    decay_gradient[behind] = multiply(g, before);
    input_gradient[behind] = g;
    r = multiply(decay[behind], g);
  }
  @if(HAS_INITIAL_STATE)
  if (chunk.number == 0u) {
    initial_state_gradient[chunk.state] = r;
  }
}
