// Mamba-2's projection, four columns at a time: the convolution's channels, which are input, keys (B) and queries (C),
// and behind them the step sizes.

import package::common::activation_kinds::activate_as;

const SOFTPLUS = 5u;

@link
const WIDTH: u32 = 4u; // of the convolution

struct Shape {
  batch: u32,
  time: u32,
  heads: u32,
  head_dim: u32,
  keys: u32, // keys of all groups
  stride: u32, // of the projection's rows
  start: u32, // of the convolution's channels in them; behind these are the step sizes
  low: f32,
  high: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [batch, time, stride / 4]
@group(0) @binding(2) var<storage, read> weight: array<f32>; // [channels, WIDTH]
@if(HAS_BIAS)
@group(0) @binding(3) var<storage, read> bias: array<vec4f>; // [channels / 4]; else 0
@if(HAS_TAIL)
@group(0) @binding(4) var<storage, read> tail: array<vec4f>; // [batch, WIDTH - 1, channels / 4]; else 0
@group(0) @binding(5) var<storage, read> step_bias: array<f32>; // [heads]

fn inner() -> u32 {
  return shape.heads * shape.head_dim;
}

fn channels() -> u32 {
  return inner() + 2u * shape.keys;
}

// Element `step` of the tail followed by x: step 0 is the oldest of the tail.
fn padded(batch: u32, step: u32, channel: u32) -> vec4f {
  if (step + 1u >= WIDTH) {
    let t = min(step + 1u - WIDTH, shape.time - 1u); // past the end only where the result is not kept
    return x[((batch * shape.time + t) * shape.stride + shape.start + channel) / 4u];
  }
  @if(HAS_TAIL)
  return tail[((batch * (WIDTH - 1u) + step) * channels() + channel) / 4u];
  @else
  return vec4f();
}

// Four channels, and what a walk along the time steps needs of them again and again: a software adapter
// divides and loads as slowly as it convolves.
struct Channels {
  first: u32,
  head: u32, // of inner channels
  key: u32, // of those behind them: which of the keys, or of the queries, is the first
  step_bias: f32, // the head's
}

fn channels_at(first: u32) -> Channels {
  let head = min(first / shape.head_dim, shape.heads - 1u);
  return Channels(first, head, (first - inner()) % shape.keys, step_bias[head]);
}

// Where the step sizes of a row's heads, from this one on, are before their softplus.
fn steps_at(row: u32, head: u32) -> u32 {
  return row * shape.stride + shape.start + channels() + head;
}

fn step_sizes_of(steps: vec4f) -> vec4f {
  let sizes = activate_as(SOFTPLUS, steps);
  let above = select(sizes, vec4f(shape.low), sizes < vec4f(shape.low));
  return select(above, vec4f(shape.high), above > vec4f(shape.high));
}

fn step_size(row: u32, channel: Channels) -> f32 {
  let at = steps_at(row, channel.head);
  return step_sizes_of(vec4f(x[at / 4u][at % 4u] + channel.step_bias)).x;
}

// A tap of four channels.
fn taps_at(channel: u32, tap: u32) -> vec4f {
  let at = (channel + vec4u(0u, 1u, 2u, 3u)) * WIDTH + tap;
  return vec4f(weight[at.x], weight[at.y], weight[at.z], weight[at.w]);
}
