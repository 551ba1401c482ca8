// From Mamba-2's projection to what its state takes, in one pass: a causal depthwise convolution with a SiLU over
// input, keys (B) and queries (C), the step size of each head, and what it makes of the decay and the input:
//   step = clamp(softplus(steps + step_bias), low, high),  log_decay = -exp(decay) * step,
//   values = the convolved input,  input = step * values.
// An invocation takes eight time steps of a channel, or of a head's step sizes.
// Dispatch: ceil(columns / WORKGROUP_SIZE) by ceil(time / 8) by batch workgroups, folded.

import package::common::activation_kinds::{activate_as, sigmoid4};
import package::common::invocations::{Invocation, WORKGROUP_SIZE, ceil_divide, unfold};

const SOFTPLUS = 5u;
const EXP = 7u;

struct Shape {
  batch: u32,
  time: u32,
  heads: u32,
  head_dim: u32,
  keys: u32, // keys of all groups
  width: u32, // of the convolution
  stride: u32, // of the projection's rows
  start: u32, // of the convolution's channels in them; behind these are the step sizes
  low: f32,
  high: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [batch, time, stride]
@group(0) @binding(2) var<storage, read> weight: array<f32>; // [channels, width]
@if(HAS_BIAS)
@group(0) @binding(3) var<storage, read> bias: array<f32>; // [channels]; else 0
@if(HAS_TAIL)
@group(0) @binding(4) var<storage, read> tail: array<f32>; // [batch, width - 1, channels]; else final_tail holds it, or it is 0
@group(0) @binding(5) var<storage, read> step_bias: array<f32>; // [heads]
@group(0) @binding(6) var<storage, read> decay: array<f32>; // [heads]
@group(0) @binding(7) var<storage, read_write> values: array<f32>; // [batch, time, heads, head_dim]
@group(0) @binding(8) var<storage, read_write> input: array<f32>; // [batch, time, heads, head_dim]
@group(0) @binding(9) var<storage, read_write> key: array<f32>; // [batch, time, keys]
@group(0) @binding(10) var<storage, read_write> query: array<f32>; // [batch, time, keys]
@group(0) @binding(11) var<storage, read_write> log_decay: array<f32>; // [batch, time, heads]
@group(0) @binding(12) var<storage, read_write> final_tail: array<f32>; // [batch, width - 1, channels]

struct Eight {
  early: vec4f,
  late: vec4f,
}

fn channels() -> u32 {
  return shape.heads * shape.head_dim + 2u * shape.keys;
}

fn x_at(batch: u32, time: u32, column: u32) -> f32 {
  let t = min(time, shape.time - 1u); // past the end only where the result is not kept
  return x[(batch * shape.time + t) * shape.stride + shape.start + column];
}

// Element `step` of the tail followed by x: step 0 is the oldest of the tail.
fn padded(batch: u32, step: u32, channel: u32) -> f32 {
  let before = shape.width - 1u;
  if (step >= before) {
    return x_at(batch, step - before, channel);
  }
  @if(HAS_TAIL)
  return tail[(batch * before + step) * channels() + channel];
  @elif(IN_PLACE)
  return final_tail[(batch * before + step) * channels() + channel];
  @else
  return 0.0;
}

// The step sizes of a head at eight time steps.
fn steps_of(batch: u32, first: u32, head: u32) -> Eight {
  let column = channels() + head;
  let offset = step_bias[head];
  var all = Eight();
  all.early = vec4f(
    x_at(batch, first, column),
    x_at(batch, first + 1u, column),
    x_at(batch, first + 2u, column),
    x_at(batch, first + 3u, column),
  );
  all.late = vec4f(
    x_at(batch, first + 4u, column),
    x_at(batch, first + 5u, column),
    x_at(batch, first + 6u, column),
    x_at(batch, first + 7u, column),
  );
  all.early = limited(activate_as(SOFTPLUS, all.early + offset));
  all.late = limited(activate_as(SOFTPLUS, all.late + offset));
  return all;
}

fn limited(step: vec4f) -> vec4f {
  let above = select(step, vec4f(shape.low), step < vec4f(shape.low));
  return select(above, vec4f(shape.high), above > vec4f(shape.high));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn mamba2_inputs(invocation: Invocation) {
  let place = unfold(
    invocation,
    ceil_divide(channels() + shape.heads, WORKGROUP_SIZE),
    ceil_divide(shape.time, 8u),
  );
  let column = place.x * WORKGROUP_SIZE + invocation.local;
  let batch = place.z;
  if (column >= channels() + shape.heads || batch >= shape.batch) {
    return;
  }
  let first = place.y * 8u;
  let row = batch * shape.time + first;
  let steps = min(8u, shape.time - first);
  if (column >= channels()) {
    let head = column - channels();
    let rate = -activate_as(EXP, vec4f(decay[head])).x;
    var size = steps_of(batch, first, head);
    for (var step = 0u; step < steps; step++) {
      log_decay[(row + step) * shape.heads + head] = rate * size.early.x;
      size.early = vec4f(size.early.yzw, size.late.x);
      size.late = size.late.yzww;
    }
    return;
  }

  var window = Eight();
  window.early = vec4f(
    0.0,
    padded(batch, first, column),
    padded(batch, first + 1u, column),
    padded(batch, first + 2u, column),
  );
  window.late = vec4f(
    padded(batch, first + 3u, column),
    padded(batch, first + 4u, column),
    padded(batch, first + 5u, column),
    padded(batch, first + 6u, column),
  );
  var z = Eight();
  @if(HAS_BIAS) {
    z.early += bias[column];
    z.late += bias[column];
  }
  for (var tap = 0u; tap < shape.width; tap++) {
    window.early = vec4f(window.early.yzw, window.late.x);
    window.late = vec4f(window.late.yzw, padded(batch, first + 7u + tap, column));
    let w = weight[column * shape.width + tap];
    z.early += w * window.early;
    z.late += w * window.late;
  }
  z.early *= sigmoid4(z.early);
  z.late *= sigmoid4(z.late);

  let inner = shape.heads * shape.head_dim;
  if (column < inner) {
    var size = steps_of(batch, first, column / shape.head_dim);
    for (var step = 0u; step < steps; step++) {
      values[(row + step) * inner + column] = z.early.x;
      input[(row + step) * inner + column] = z.early.x * size.early.x;
      z.early = vec4f(z.early.yzw, z.late.x);
      z.late = z.late.yzww;
      size.early = vec4f(size.early.yzw, size.late.x);
      size.late = size.late.yzww;
    }
  } else {
    let at = (column - inner) % shape.keys;
    for (var step = 0u; step < steps; step++) {
      if (column < inner + shape.keys) {
        key[(row + step) * shape.keys + at] = z.early.x;
      } else {
        query[(row + step) * shape.keys + at] = z.early.x;
      }
      z.early = vec4f(z.early.yzw, z.late.x);
      z.late = z.late.yzww;
    }
  }
  if (first + 8u >= shape.time) { // the invocation of a channel's last time steps
    for (var step = 0u; step + 1u < shape.width; step++) {
      final_tail[(batch * (shape.width - 1u) + step) * channels() + column] =
        padded(batch, shape.time + step, column);
    }
  }
}
