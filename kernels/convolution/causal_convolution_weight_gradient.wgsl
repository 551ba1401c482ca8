// Gradients of weight and bias, summed over blocks of BLOCK steps, TAPS taps an invocation:
//   weight_gradient[j] = sum over t of z_gradient[t] * padded[t + j],  padded being the tail followed by x,
//   bias_gradient = sum over t of z_gradient[t], in the last plane.
// Dispatch: ceil(channels / WORKGROUP_SIZE) by ceil(width / TAPS) by batch * blocks workgroups, folded.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, ceil_divide, unfold};
import package::convolution::sequence::{padded, shape};

override BLOCK: u32 = 128u;

const TAPS = 4u; // of an invocation, side by side in a vec4

@group(0) @binding(3) var<storage, read> z_gradient: array<f32>; // [batch, time, channels]
@group(0) @binding(4) var<storage, read_write> partial: array<f32>; // [batch, blocks, width + 1, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn causal_convolution_weight_gradient(invocation: Invocation) {
  let width = ceil_divide(shape.channels, WORKGROUP_SIZE);
  let place = unfold(invocation, width, ceil_divide(shape.width, TAPS));
  let blocks = ceil_divide(shape.time, BLOCK);
  let channel = place.x * WORKGROUP_SIZE + invocation.local;
  if (channel >= shape.channels || place.z >= shape.batch * blocks) {
    return;
  }
  let batch = place.z / blocks;
  let first = place.z % blocks * BLOCK;
  let last = min(first + BLOCK, shape.time);
  let tap = place.y * TAPS;
  var window = vec4f(
    0.0,
    padded(batch, first + tap, channel),
    padded(batch, first + tap + 1u, channel),
    padded(batch, first + tap + 2u, channel),
  );
  var weight_gradient = vec4f(0.0);
  var bias_gradient = 0.0;
  var at = (batch * shape.time + first) * shape.channels + channel;
  for (var t = first; t < last; t++) {
    window = vec4f(window.yzw, padded(batch, t + tap + 3u, channel));
    weight_gradient += z_gradient[at] * window;
    bias_gradient += z_gradient[at];
    at += shape.channels;
  }
  let planes = place.z * (shape.width + 1u);
  for (var i = 0u; i < min(TAPS, shape.width - tap); i++) {
    partial[(planes + tap + i) * shape.channels + channel] = weight_gradient.x;
    weight_gradient = weight_gradient.yzww;
  }
  if (tap == 0u) {
    partial[(planes + shape.width) * shape.channels + channel] = bias_gradient;
  }
}
