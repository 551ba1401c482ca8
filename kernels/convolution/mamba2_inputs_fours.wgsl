// As mamba2_inputs, for many tokens, four columns of an invocation, which walks BLOCK time steps with the last WIDTH
// inputs in registers: a causal depthwise convolution with a SiLU, step = clamp(softplus(steps + step_bias), low,
// high), log_decay = -exp(decay) * step, values = the convolved input, input = step * values.
// Dispatch: one invocation per sequence, block of time steps and four of the channels and step sizes.

import package::common::activation_kinds::{activate_as, sigmoid4};
import package::common::invocations::{Invocation, WORKGROUP_SIZE, ceil_divide, number_of};
@if(HAS_BIAS)
import package::convolution::mamba2_columns::bias;
import package::convolution::mamba2_columns::{WIDTH, channels, inner, padded, shape, step_size, taps_at};

const EXP = 7u;

override BLOCK: u32 = 64u;

@group(0) @binding(6) var<storage, read> decay: array<f32>; // [heads]
@group(0) @binding(7) var<storage, read_write> values: array<vec4f>; // [batch, time, inner / 4]
@group(0) @binding(8) var<storage, read_write> input: array<vec4f>; // [batch, time, inner / 4]
@group(0) @binding(9) var<storage, read_write> key: array<vec4f>; // [batch, time, keys / 4]
@group(0) @binding(10) var<storage, read_write> query: array<vec4f>; // [batch, time, keys / 4]
@group(0) @binding(11) var<storage, read_write> log_decay: array<vec4f>; // [batch, time, heads / 4]
@group(0) @binding(12) var<storage, read_write> final_tail: array<vec4f>; // [batch, WIDTH - 1, channels / 4]

fn write_log_decay(row: u32, head: u32) {
  let rates = activate_as(EXP, vec4f(decay[head], decay[head + 1u], decay[head + 2u], decay[head + 3u]));
  let steps = vec4f(
    step_size(row, head),
    step_size(row, head + 1u),
    step_size(row, head + 2u),
    step_size(row, head + 3u),
  );
  log_decay[(row * shape.heads + head) / 4u] = -rates * steps;
}

fn write_channels(row: u32, channel: u32, y: vec4f) {
  if (channel < inner()) {
    let at = (row * inner() + channel) / 4u;
    values[at] = y;
    input[at] = step_size(row, channel / shape.head_dim) * y;
    return;
  }
  let at = (row * shape.keys + (channel - inner()) % shape.keys) / 4u;
  if (channel < inner() + shape.keys) {
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
    for (var t = first; t < end; t++) {
      write_log_decay(batch * shape.time + t, channel - channels());
    }
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
    write_channels(batch * shape.time + t, channel, z * sigmoid4(z));
  }
  if (end == shape.time) {
    @unroll
    for (var j = 1u; j < WIDTH; j++) {
      final_tail[((batch * (WIDTH - 1u) + j - 1u) * channels() + channel) / 4u] = window[j];
    }
  }
}
