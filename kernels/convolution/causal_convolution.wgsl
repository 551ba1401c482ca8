// Causal depthwise convolution, a channel on its own:
//   z[t] = bias + sum over j < width of weight[j] * x[t - width + 1 + j],  x before step 0 being the tail,
//   output = z, or z * sigmoid(z) where SILU;  given the output's gradient that of z:
//   output = z_gradient = output_gradient * silu'(z).
// A window of STEPS values moves along the taps: one load gives a tap of as many outputs.
// Dispatch: ceil(channels / WORKGROUP_SIZE) by ceil(time / STEPS) by batch workgroups, folded.

import package::common::exponential::exponential;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, ceil_divide, unfold};
import package::convolution::sequence::{STEPS, padded, shape};

override SILU: bool = false;

@group(0) @binding(3) var<storage, read> weight: array<f32>; // [channels, width]
@if(HAS_BIAS)
@group(0) @binding(4) var<storage, read> bias: array<f32>; // [channels]; else 0
@if(HAS_OUTPUT_GRADIENT)
@group(0) @binding(5) var<storage, read> output_gradient: array<f32>; // [batch, time, channels]
@group(0) @binding(6) var<storage, read_write> output: array<f32>; // [batch, time, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn causal_convolution(invocation: Invocation) {
  let width = ceil_divide(shape.channels, WORKGROUP_SIZE);
  let place = unfold(invocation, width, ceil_divide(shape.time, STEPS));
  let channel = place.x * WORKGROUP_SIZE + invocation.local;
  if (channel >= shape.channels || place.z >= shape.batch) {
    return;
  }
  let first = place.y * STEPS;
  let batch = place.z;
  var early = vec4f(
    0.0,
    padded(batch, first, channel),
    padded(batch, first + 1u, channel),
    padded(batch, first + 2u, channel),
  );
  var late = vec4f(
    padded(batch, first + 3u, channel),
    padded(batch, first + 4u, channel),
    padded(batch, first + 5u, channel),
    padded(batch, first + 6u, channel),
  );
  var z_early = vec4f(0.0);
  var z_late = vec4f(0.0);
  @if(HAS_BIAS) {
    z_early += bias[channel];
    z_late += bias[channel];
  }
  for (var tap = 0u; tap < shape.width; tap++) {
    early = vec4f(early.yzw, late.x);
    late = vec4f(late.yzw, padded(batch, first + 7u + tap, channel));
    let w = weight[channel * shape.width + tap];
    z_early += w * early;
    z_late += w * late;
  }
  let steps = min(STEPS, shape.time - first);
  var at = (batch * shape.time + first) * shape.channels + channel;
  for (var step = 0u; step < steps; step++) {
    var value = z_early.x;
    @if(HAS_OUTPUT_GRADIENT) {
      let s = 1.0 / (1.0 + exponential(-value));
      value = output_gradient[at] * s * (1.0 + value * (1.0 - s));
    }
    @else
    if (SILU) {
      value /= 1.0 + exponential(-value);
    }
    output[at] = value;
    at += shape.channels;
    z_early = vec4f(z_early.yzw, z_late.x);
    z_late = z_late.yzww;
  }
}
