// As mamba2_inputs, for many tokens, four columns of an invocation, which walks BLOCK time steps with the last WIDTH
// inputs in registers: a causal depthwise convolution with a SiLU, step = clamp(softplus(steps + step_bias), low,
// high), log_decay = -exp(decay) * step, values = the convolved input, input = step * values.
// Dispatch: one invocation per sequence, block of time steps and four of the channels and step sizes.

import package::common::activation_kinds::{activate_as, sigmoid4};
import package::common::invocations::{Invocation, WORKGROUP_SIZE, ceil_divide, number_of};
@if(HAS_BIAS)
import package::convolution::mamba2_columns::bias;
import package::convolution::mamba2_columns::{
  Channels, WIDTH, channels, channels_at, inner, padded, shape, step_bias, step_size, step_sizes_of, steps_at,
  taps_at, x,
};

const EXP = 7u;

override BLOCK: u32 = 64u;

@group(0) @binding(6) var<storage, read> decay: array<f32>; // [heads]
@group(0) @binding(7) var<storage, read_write> values: array<vec4f>; // [batch, time, inner / 4]
@group(0) @binding(8) var<storage, read_write> input: array<vec4f>; // [batch, time, inner / 4]
@group(0) @binding(9) var<storage, read_write> key: array<vec4f>; // [batch, time, keys / 4]
@group(0) @binding(10) var<storage, read_write> query: array<vec4f>; // [batch, time, keys / 4]
@group(0) @binding(11) var<storage, read_write> log_decay: array<vec4f>; // [batch, time, heads / 4]
@group(0) @binding(12) var<storage, read_write> final_tail: array<vec4f>; // [batch, WIDTH - 1, channels / 4]

// Of four heads, at all time steps of a block.
fn write_log_decays(rows: vec2u, head: u32) {
  let rates = activate_as(EXP, vec4f(decay[head], decay[head + 1u], decay[head + 2u], decay[head + 3u]));
  let offsets =
    vec4f(step_bias[head], step_bias[head + 1u], step_bias[head + 2u], step_bias[head + 3u]);
  for (var row = rows.x; row < rows.y; row++) {
    let steps = step_sizes_of(x[steps_at(row, head) / 4u] + offsets);
    log_decay[(row * shape.heads + head) / 4u] = -rates * steps;
  }
}

fn write_channels(row: u32, channel: Channels, y: vec4f) {
  if (channel.first < inner()) {
    let at = (row * inner() + channel.first) / 4u;
    values[at] = y;
    input[at] = step_size(row, channel) * y;
    return;
  }
  let at = (row * shape.keys + channel.key) / 4u;
  if (channel.first < inner() + shape.keys) {
    key[at] = y;
  } else {
    query[at] = y;
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn mamba2_inputs_fours(invocation: Invocation) {
  let index = number_of(invocation);
  let columns = (channels() + shape.heads) / 4u;
  let blocks = ceil_divide(shape.time, BLOCK);
  let channel = index % columns * 4u;
  let batch = index / (columns * blocks);
  if (batch >= shape.batch) {
    return;
  }
  let first = index / columns % blocks * BLOCK;
  let end = min(first + BLOCK, shape.time);
  if (channel >= channels()) {
    write_log_decays(batch * shape.time + vec2u(first, end), channel - channels());
    return;
  }
  var taps: array<vec4f, WIDTH>;
  var window: array<vec4f, WIDTH>; // padded from t on
  @unroll
  for (var j = 0u; j < WIDTH; j++) {
    taps[j] = taps_at(channel, j);
    window[j] = vec4f();
  }
  @unroll
  for (var j = 1u; j < WIDTH; j++) {
    window[j] = padded(batch, first + j - 1u, channel);
  }
  let place = channels_at(channel);
  var offset = vec4f();
  @if(HAS_BIAS)
  offset = bias[channel / 4u];
  for (var t = first; t < end; t++) {
    @unroll
    for (var j = 1u; j < WIDTH; j++) {
      window[j - 1u] = window[j];
    }
    window[WIDTH - 1u] = padded(batch, t + WIDTH - 1u, channel);
    var z = offset;
    @unroll
    for (var j = 0u; j < WIDTH; j++) {
      z += taps[j] * window[j];
    }
    write_channels(batch * shape.time + t, place, z * sigmoid4(z));
  }
  if (end == shape.time) {
    @unroll
    for (var j = 1u; j < WIDTH; j++) {
      final_tail[((batch * (WIDTH - 1u) + j - 1u) * channels() + channel) / 4u] = window[j];
    }
  }
}
