// Causal depthwise convolution, four channels of an invocation, with what it leaves of x:
//   z[t] = bias + sum over j < WIDTH of weight[j] * padded[t + j],  output = z, or z * sigmoid(z) where SILU,
//   final_tail[i] = padded[time + i]
// Dispatch: one invocation per sequence, block of steps and four channels.

import package::common::activation_kinds::sigmoid4;
import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::convolution::four_channels::{WIDTH, padded, shape, taps_at, walk_of};

override SILU: bool = false;

@if(HAS_BIAS)
@group(0) @binding(4) var<storage, read> bias: array<vec4f>; // [fours]; else 0
@group(0) @binding(5) var<storage, read_write> output: array<vec4f>; // [batch, time, fours]
@group(0) @binding(6) var<storage, read_write> final_tail: array<vec4f>; // [batch, WIDTH - 1, fours]

@compute @workgroup_size(WORKGROUP_SIZE)
fn causal_convolution_fours(invocation: Invocation) {
  let walk = walk_of(invocation);
  if (walk.batch >= shape.batch) {
    return;
  }
  var taps: array<vec4f, WIDTH>;
  var window: array<vec4f, WIDTH>; // padded from t on
  @unroll
  for (var j = 0u; j < WIDTH; j++) {
    taps[j] = taps_at(walk.four, j);
    window[j] = vec4f();
  }
  @unroll
  for (var j = 1u; j < WIDTH; j++) {
    window[j] = padded(walk.batch, walk.first + j - 1u, walk.four);
  }
  var offset = vec4f();
  @if(HAS_BIAS)
  offset = bias[walk.four];
  for (var t = walk.first; t < walk.end; t++) {
    @unroll
    for (var j = 1u; j < WIDTH; j++) {
      window[j - 1u] = window[j];
    }
    window[WIDTH - 1u] = padded(walk.batch, t + WIDTH - 1u, walk.four);
    var z = offset;
    @unroll
    for (var j = 0u; j < WIDTH; j++) {
      z += taps[j] * window[j];
    }
    if (SILU) {
      z *= sigmoid4(z);
    }
    output[(walk.batch * shape.time + t) * shape.fours + walk.four] = z;
  }
  if (walk.end == shape.time) {
    @unroll
    for (var j = 1u; j < WIDTH; j++) {
      final_tail[(walk.batch * (WIDTH - 1u) + j - 1u) * shape.fours + walk.four] = window[j];
    }
  }
}
