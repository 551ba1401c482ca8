// Gradient of what the convolution reads, the tail followed by x. With e an index in it:
//   gradient[e] = sum over j < width of weight[j] * z_gradient[e - j], z_gradient being 0 outside [0, time),
//   and for e >= time, which the final tail holds, + final_tail_gradient[e - time].
// The first width - 1 are the initial tail's, the others x's.
// A window of STEPS values moves along the taps: one load gives a tap of as many gradients.
// Dispatch: ceil(channels / WORKGROUP_SIZE) by ceil((width - 1 + time) / STEPS) by batch workgroups, folded.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, ceil_divide, unfold};
import package::convolution::sequence::{STEPS, shape};

@group(0) @binding(1) var<storage, read> weight: array<f32>; // [channels, width]
@group(0) @binding(2) var<storage, read> z_gradient: array<f32>; // [batch, time, channels]
@if(HAS_FINAL_TAIL_GRADIENT)
@group(0) @binding(3) var<storage, read> final_tail_gradient: array<f32>; // [batch, width - 1, channels]; else 0
@group(0) @binding(4) var<storage, read_write> x_gradient: array<f32>; // [batch, time, channels]
@if(HAS_INITIAL_TAIL_GRADIENT)
@group(0) @binding(5) var<storage, read_write> initial_tail_gradient: array<f32>; // [batch, width - 1, channels]

// z_gradient at step t - ahead, 0 outside of the sequence.
fn gradient_at(batch: u32, t: u32, ahead: u32, channel: u32) -> f32 {
  if (t < ahead || t - ahead >= shape.time) {
    return 0.0;
  }
  return z_gradient[(batch * shape.time + t - ahead) * shape.channels + channel];
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn causal_convolution_backward(invocation: Invocation) {
  let width = ceil_divide(shape.channels, WORKGROUP_SIZE);
  let before = shape.width - 1u;
  let place = unfold(invocation, width, ceil_divide(before + shape.time, STEPS));
  let channel = place.x * WORKGROUP_SIZE + invocation.local;
  if (channel >= shape.channels || place.z >= shape.batch) {
    return;
  }
  let first = place.y * STEPS;
  let batch = place.z;
  var early = vec4f(
    gradient_at(batch, first + 1u, 0u, channel),
    gradient_at(batch, first + 2u, 0u, channel),
    gradient_at(batch, first + 3u, 0u, channel),
    gradient_at(batch, first + 4u, 0u, channel),
  );
  var late = vec4f(
    gradient_at(batch, first + 5u, 0u, channel),
    gradient_at(batch, first + 6u, 0u, channel),
    gradient_at(batch, first + 7u, 0u, channel),
    0.0,
  );
  var sum_early = vec4f(0.0);
  var sum_late = vec4f(0.0);
  for (var tap = 0u; tap < shape.width; tap++) {
    late = vec4f(early.w, late.xyz);
    early = vec4f(gradient_at(batch, first, tap, channel), early.xyz);
    let w = weight[channel * shape.width + tap];
    sum_early += w * early;
    sum_late += w * late;
  }
  let end = min(first + STEPS, before + shape.time);
  for (var e = first; e < end; e++) {
    var value = sum_early.x;
    @if(HAS_FINAL_TAIL_GRADIENT)
    if (e >= shape.time) {
      value += final_tail_gradient[(batch * before + e - shape.time) * shape.channels + channel];
    }
    if (e < before) {
      @if(HAS_INITIAL_TAIL_GRADIENT)
      initial_tail_gradient[(batch * before + e) * shape.channels + channel] = value;
    } else {
      x_gradient[(batch * shape.time + e - before) * shape.channels + channel] = value;
    }
    sum_early = vec4f(sum_early.yzw, sum_late.x);
    sum_late = sum_late.yzww;
  }
}
