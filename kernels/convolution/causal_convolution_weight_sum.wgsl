// Sums the partial gradients of weight and bias over all blocks.
// Dispatch: one invocation per tap (the bias being the last) and channel.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

struct Shape {
  blocks: u32, // of all batch elements
  channels: u32,
  width: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> partial: array<f32>; // [blocks, width + 1, channels]
@group(0) @binding(2) var<storage, read_write> weight_gradient: array<f32>; // [channels, width]
@if(HAS_BIAS_GRADIENT)
@group(0) @binding(3) var<storage, read_write> bias_gradient: array<f32>; // [channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn causal_convolution_weight_sum(invocation: Invocation) {
  let index = number_of(invocation);
  let plane = (shape.width + 1u) * shape.channels;
  if (index >= plane) {
    return;
  }
  var sum = 0.0;
  for (var block = 0u; block < shape.blocks; block++) {
    sum += partial[block * plane + index];
  }
  let channel = index % shape.channels;
  let tap = index / shape.channels;
  if (tap < shape.width) {
    weight_gradient[channel * shape.width + tap] = sum;
  } else {
    @if(HAS_BIAS_GRADIENT)
    bias_gradient[channel] = sum;
  }
}
