// Gradients of the causal convolution, four channels of an invocation. It walks the steps of its block back, and
// before them the WIDTH - 1 that read them too, with z computed again:
//   z_gradient = output_gradient, times silu'(z) where SILU
//   gradient of padded[e] = sum over k < WIDTH of weight[WIDTH - 1 - k] * z_gradient[e + 1 - WIDTH + k],
//   and for e >= time, which the final tail holds, + final_tail_gradient[e - time]
//   weight_gradient[j] = sum over t of z_gradient[t] * padded[t + j],  bias_gradient = sum over t of z_gradient[t]
// The first WIDTH - 1 of padded are the initial tail's. Sums over t are left as a part for each block.
// Dispatch: one invocation per sequence, block of steps and four channels.

import package::common::activation_kinds::sigmoid4;
import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::convolution::four_channels::{WIDTH, padded, shape, taps_at, walk_of};

override SILU: bool = false;

@if(HAS_BIAS)
@group(0) @binding(4) var<storage, read> bias: array<vec4f>; // [fours]; else 0
@group(0) @binding(5) var<storage, read> output_gradient: array<vec4f>; // [batch, time, fours]
@if(HAS_FINAL_TAIL_GRADIENT)
@group(0) @binding(6) var<storage, read> final_tail_gradient: array<vec4f>; // [batch, WIDTH - 1, fours]; else 0
@group(0) @binding(7) var<storage, read_write> x_gradient: array<vec4f>; // [batch, time, fours]
@group(0) @binding(8) var<storage, read_write> partial: array<vec4f>; // [blocks of all sequences, WIDTH + 1, fours]
@if(HAS_INITIAL_TAIL_GRADIENT)
@group(0) @binding(9) var<storage, read_write> initial_tail_gradient: array<vec4f>; // [batch, WIDTH - 1, fours]

@compute @workgroup_size(WORKGROUP_SIZE)
fn causal_convolution_fours_backward(invocation: Invocation) {
  let walk = walk_of(invocation);
  if (walk.batch >= shape.batch) {
    return;
  }
  var taps: array<vec4f, WIDTH>;
  var window: array<vec4f, WIDTH>; // padded from t on
  var ahead: array<vec4f, WIDTH>; // z_gradient from t on
  var weight_gradient: array<vec4f, WIDTH>;
  var bias_gradient = vec4f();
  var offset = vec4f();
  @if(HAS_BIAS)
  offset = bias[walk.four];
  // In elements of padded, of which t + WIDTH - 1 is x[t].
  let last = walk.end + 2u * (WIDTH - 1u);
  @unroll
  for (var j = 0u; j < WIDTH; j++) {
    taps[j] = taps_at(walk.four, j);
    window[j] = padded(walk.batch, last - WIDTH + 1u + j, walk.four);
    ahead[j] = vec4f();
    weight_gradient[j] = vec4f();
  }
  var lowest = walk.first + WIDTH - 1u;
  @if(HAS_INITIAL_TAIL_GRADIENT)
  if (walk.first == 0u) {
    lowest = 0u;
  }
  for (var step = last; step > lowest; step--) {
    let own = step - 1u;
    let t = own + 1u - WIDTH; // it wraps in the tail
    let at = (walk.batch * shape.time + t) * shape.fours + walk.four;
    @unroll
    for (var k = WIDTH - 1u; k > 0u; k--) {
      ahead[k] = ahead[k - 1u];
    }
    ahead[0] = vec4f();
    if (own + 1u >= WIDTH) {
      @unroll
      for (var j = WIDTH - 1u; j > 0u; j--) {
        window[j] = window[j - 1u];
      }
      window[0] = padded(walk.batch, t, walk.four);
    }
    if (t < shape.time) {
      ahead[0] = output_gradient[at];
      if (SILU) {
        var z = offset;
        @unroll
        for (var j = 0u; j < WIDTH; j++) {
          z += taps[j] * window[j];
        }
        let s = sigmoid4(z);
        ahead[0] *= s * (1.0 + z * (1.0 - s));
      }
      if (t < walk.end) {
        bias_gradient += ahead[0];
        @unroll
        for (var j = 0u; j < WIDTH; j++) {
          weight_gradient[j] += ahead[0] * window[j];
        }
      }
    }
    var gradient = vec4f();
    @unroll
    for (var k = 0u; k < WIDTH; k++) {
      gradient += taps[WIDTH - 1u - k] * ahead[k];
    }
    @if(HAS_FINAL_TAIL_GRADIENT)
    if (own >= shape.time && own < shape.time + WIDTH - 1u) {
      gradient += final_tail_gradient[(walk.batch * (WIDTH - 1u) + own - shape.time) * shape.fours + walk.four];
    }
    if (t < walk.end) {
      x_gradient[at] = gradient;
    }
    @if(HAS_INITIAL_TAIL_GRADIENT)
    if (own < WIDTH - 1u) {
      initial_tail_gradient[(walk.batch * (WIDTH - 1u) + own) * shape.fours + walk.four] = gradient;
    }
  }
  let plane = walk.block * (WIDTH + 1u);
  @unroll
  for (var j = 0u; j < WIDTH; j++) {
    partial[(plane + j) * shape.fours + walk.four] = weight_gradient[j];
  }
  partial[(plane + WIDTH) * shape.fours + walk.four] = bias_gradient;
}
