// Gradient of the decay parameter of RG-LRU, as rate = softplus(decay_parameter):
//   decay_parameter_gradient = sigmoid(decay_parameter) * sum over blocks of partial.
// Dispatch: one invocation per channel.

import package::common::exponential::exponential;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

struct Shape {
  blocks: u32,
  channels: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> decay_parameter: array<f32>; // [channels]
@group(0) @binding(2) var<storage, read> partial: array<f32>; // [blocks, channels]
@group(0) @binding(3) var<storage, read_write> decay_parameter_gradient: array<f32>; // [channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn rg_lru_decay_parameter(invocation: Invocation) {
  let channel = number_of(invocation);
  if (channel >= shape.channels) {
    return;
  }
  var sum = 0.0;
  for (var block = 0u; block < shape.blocks; block++) {
    sum += partial[block * shape.channels + channel];
  }
  decay_parameter_gradient[channel] = sum / (1.0 + exponential(-decay_parameter[channel]));
}
