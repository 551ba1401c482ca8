// Gradients of mamba2_inputs, four channels of an invocation. It walks BLOCK time steps back, and before them the
// WIDTH - 1 steps that read them too. With z the convolution's sum, y = z * sigmoid(z):
//   dy = values_gradient + step * input_gradient, or key_gradient, or query_gradient;  dz = dy * silu'(z)
//   x_gradient[t] = sum over k < WIDTH of weight[WIDTH - 1 - k] * dz[t + k], and what the final tail gets
//   weight_gradient[j] = sum of dz[t] * padded[t + j],  bias_gradient = sum of dz, a part for each block
//   step_terms = sum over the four channels of input_gradient * y
// The gate's gradient is handed through.
// Dispatch: one invocation per sequence, block of time steps and four columns before the step sizes.

import package::common::activation_kinds::sigmoid4;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, ceil_divide, number_of};
@if(HAS_BIAS)
import package::convolution::mamba2_columns::bias;
import package::convolution::mamba2_columns::{
  Channels, WIDTH, channels, channels_at, inner, padded, shape, step_size, taps_at,
};

override BLOCK: u32 = 32u;

@if(HAS_GATE_GRADIENT)
@group(0) @binding(6) var<storage, read> gate_gradient: array<vec4f>; // [batch, time, start / 4]; else 0
@if(HAS_VALUES_GRADIENT)
@group(0) @binding(7) var<storage, read> values_gradient: array<vec4f>; // [batch, time, inner / 4]; else 0
@if(HAS_INPUT_GRADIENT)
@group(0) @binding(8) var<storage, read> input_gradient: array<vec4f>; // [batch, time, inner / 4]; else 0
@if(HAS_KEY_GRADIENT)
@group(0) @binding(9) var<storage, read> key_gradient: array<vec4f>; // [batch, time, keys / 4]; else 0
@if(HAS_QUERY_GRADIENT)
@group(0) @binding(10) var<storage, read> query_gradient: array<vec4f>; // [batch, time, keys / 4]; else 0
@if(HAS_FINAL_TAIL_GRADIENT)
@group(0) @binding(11) var<storage, read> final_tail_gradient: array<vec4f>; // [batch, WIDTH - 1, channels / 4]; else 0
@group(0) @binding(12) var<storage, read_write> x_gradient: array<vec4f>; // [batch, time, stride / 4], but for the step sizes'
@group(0) @binding(13) var<storage, read_write> step_terms: array<f32>; // [batch, time, inner / 4]
@group(0) @binding(14) var<storage, read_write> partial: array<vec4f>; // [batch, blocks, WIDTH + 1, channels / 4]
@if(HAS_INITIAL_TAIL_GRADIENT)
@group(0) @binding(15) var<storage, read_write> initial_tail_gradient: array<vec4f>; // [batch, WIDTH - 1, channels / 4]

// The gradient of four channels' y at a row; `terms` is whether step_terms are left.
fn output_gradient(row: u32, channel: Channels, y: vec4f, terms: bool) -> vec4f {
  var gradient = vec4f();
  if (channel.first < inner()) {
    let at = (row * inner() + channel.first) / 4u;
    @if(HAS_VALUES_GRADIENT)
    gradient += values_gradient[at];
    @if(HAS_INPUT_GRADIENT)
    gradient += step_size(row, channel) * input_gradient[at];
    if (terms) {
      @if(HAS_INPUT_GRADIENT)
      step_terms[at] = dot(input_gradient[at], y);
      @else
      step_terms[at] = 0.0;
    }
    return gradient;
  }
  let at = (row * shape.keys + channel.key) / 4u;
  if (channel.first < inner() + shape.keys) {
    @if(HAS_KEY_GRADIENT)
    gradient += key_gradient[at];
  } else {
    @if(HAS_QUERY_GRADIENT)
    gradient += query_gradient[at];
  }
  return gradient;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn mamba2_inputs_backward(invocation: Invocation) {
  let index = number_of(invocation);
  let columns = (shape.start + channels()) / 4u;
  let blocks = ceil_divide(shape.time, BLOCK);
  let column = index % columns * 4u;
  let batch = index / (columns * blocks);
  if (batch >= shape.batch) {
    return;
  }
  let block = index / columns % blocks;
  let first = block * BLOCK;
  let end = min(first + BLOCK, shape.time);
  if (column < shape.start) {
    for (var row = batch * shape.time + first; row < batch * shape.time + end; row++) {
      @if(HAS_GATE_GRADIENT)
      x_gradient[(row * shape.stride + column) / 4u] = gate_gradient[(row * shape.start + column) / 4u];
      @else
      x_gradient[(row * shape.stride + column) / 4u] = vec4f();
    }
    return;
  }

  let channel = column - shape.start;
  let place = channels_at(channel);
  var taps: array<vec4f, WIDTH>;
  var window: array<vec4f, WIDTH>; // padded from t on
  var ahead: array<vec4f, WIDTH>; // dz from t on
  var weight_gradient: array<vec4f, WIDTH>;
  var bias_gradient = vec4f();
  var offset = vec4f();
  @if(HAS_BIAS)
  offset = bias[channel / 4u];
  // In steps of `padded`, of which t + WIDTH - 1 is t's own: the walk begins behind the steps that read the block.
  let last = end + 2u * (WIDTH - 1u);
  @unroll
  for (var j = 0u; j < WIDTH; j++) {
    taps[j] = taps_at(channel, j);
    window[j] = padded(batch, last - WIDTH + 1u + j, channel);
    ahead[j] = vec4f();
    weight_gradient[j] = vec4f();
  }
  var lowest = first + WIDTH - 1u;
  @if(HAS_INITIAL_TAIL_GRADIENT)
  if (block == 0u) {
    lowest = 0u;
  }
  for (var step = last; step > lowest; step--) {
    let own = step - 1u; // of `padded`
    @unroll
    for (var k = WIDTH - 1u; k > 0u; k--) {
      ahead[k] = ahead[k - 1u];
    }
    ahead[0] = vec4f();
    let t = own + 1u - WIDTH; // it wraps in the tail
    let row = batch * shape.time + t;
    if (own + 1u >= WIDTH) {
      @unroll
      for (var j = WIDTH - 1u; j > 0u; j--) {
        window[j] = window[j - 1u];
      }
      window[0] = padded(batch, t, channel);
    }
    if (t < shape.time) {
      var z = offset;
      @unroll
      for (var j = 0u; j < WIDTH; j++) {
        z += taps[j] * window[j];
      }
      let s = sigmoid4(z);
      ahead[0] = output_gradient(row, place, z * s, t < end) * s * (1.0 + z * (1.0 - s));
      if (t < end) {
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
      gradient += final_tail_gradient[((batch * (WIDTH - 1u) + own - shape.time) * channels() + channel) / 4u];
    }
    if (t < end) {
      x_gradient[(row * shape.stride + column) / 4u] = gradient;
    }
    @if(HAS_INITIAL_TAIL_GRADIENT)
    if (own < WIDTH - 1u) {
      initial_tail_gradient[((batch * (WIDTH - 1u) + own) * channels() + channel) / 4u] = gradient;
    }
  }
  let planes = (batch * blocks + block) * (WIDTH + 1u);
  @unroll
  for (var j = 0u; j < WIDTH; j++) {
    partial[((planes + j) * channels() + channel) / 4u] = weight_gradient[j];
  }
  partial[((planes + WIDTH) * channels() + channel) / 4u] = bias_gradient;
}
