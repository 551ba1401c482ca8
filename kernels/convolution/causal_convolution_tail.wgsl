// The last width - 1 inputs, older ones being taken from the tail before them where time is shorter.
// Dispatch: one invocation per element of the tail.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::convolution::sequence::{shape, x};
@if(HAS_TAIL)
import package::convolution::sequence::tail;

@group(0) @binding(3) var<storage, read_write> final_tail: array<f32>; // [batch, width - 1, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn causal_convolution_tail(invocation: Invocation) {
  let index = number_of(invocation);
  let before = shape.width - 1u;
  if (index >= shape.batch * before * shape.channels) {
    return;
  }
  let channel = index % shape.channels;
  let batch = index / (before * shape.channels);
  let step = index / shape.channels % before + shape.time; // in the tail followed by x
  var value = 0.0;
  if (step >= before) {
    value = x[(batch * shape.time + step - before) * shape.channels + channel];
  } else {
    @if(HAS_TAIL)
    value = tail[(batch * before + step) * shape.channels + channel];
  }
  final_tail[index] = value;
}
