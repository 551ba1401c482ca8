// The chain rule through the gates of RG-LRU, with r = sigmoid(recurrence_gate), i = sigmoid(input_gate),
// l = -8 * rate * r, a = exp(l), m = sqrt(1 - a²), gated = m * i * input:
//   input_gradient = gated_gradient * m * i,
//   input_gate_gradient = gated_gradient * m * input * i * (1 - i), with 1 - i = sigmoid(-input_gate),
//   l_gradient = decay_gradient * a - gated_gradient * i * input * a² / max(m, 1/2000),
//   recurrence_gate_gradient = l_gradient * -8 * rate * r * (1 - r),
//   rate_gradient = sum over batch and time of l_gradient * -8 * r.
// The bound on 1 / m is RecurrentGemma's: d sqrt(x) / dx is at most 1000.
// Two gradients take the place of those that they are made from.
// Dispatch: x = ceil(channels / WORKGROUP_SIZE), y = blocks of BLOCK rows (batch * time).

import package::common::exponential::exponential;
import package::common::invocations::{Invocation, WORKGROUP_SIZE};

override BLOCK: u32 = 64u;
override RESET_FIRST: bool = false;

struct Shape {
  batch: u32,
  time: u32,
  channels: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> input: array<f32>; // [batch, time, channels]
@group(0) @binding(2) var<storage, read> recurrence_gate: array<f32>; // [batch, time, channels]
@group(0) @binding(3) var<storage, read> input_gate: array<f32>; // [batch, time, channels]
@group(0) @binding(4) var<storage, read> rate: array<f32>; // [channels]
@group(0) @binding(5) var<storage, read_write> decay_gradient: array<f32>; // [batch, time, channels], becomes recurrence_gate_gradient
@group(0) @binding(6) var<storage, read_write> gated_gradient: array<f32>; // [batch, time, channels], becomes input_gradient
@group(0) @binding(7) var<storage, read_write> input_gate_gradient: array<f32>; // [batch, time, channels]
@group(0) @binding(8) var<storage, read_write> partial: array<f32>; // [blocks, channels]

// 1 - exponential(x) for x <= 0, by its series where the difference would cancel.
fn one_minus_exp(x: f32) -> f32 {
  let series = -x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0 *
    (1.0 + x / 6.0)))));
  return select(1.0 - exponential(x), series, x > -0.25);
}

fn sigmoid(x: f32) -> f32 {
  return 1.0 / (1.0 + exponential(-x));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn rg_lru_gates_backward(invocation: Invocation) {
  let channel = invocation.workgroup.x * WORKGROUP_SIZE + invocation.local;
  let block = invocation.workgroup.y;
  if (channel >= shape.channels) {
    return;
  }
  let scale = -8.0 * rate[channel];
  let last = min((block + 1u) * BLOCK, shape.batch * shape.time);
  var rate_gradient = 0.0;
  for (var row = block * BLOCK; row < last; row++) {
    let index = row * shape.channels + channel;
    let r = sigmoid(recurrence_gate[index]);
    let i = sigmoid(input_gate[index]);
    let x = input[index];
    let a = exponential(scale * r);
    var m = sqrt(one_minus_exp(2.0 * scale * r));
    let gradient = gated_gradient[index];
    var l_gradient = decay_gradient[index] * a - gradient * i * x * a * a / max(m, 0.0005);
    if (RESET_FIRST && row % shape.time == 0u) {
      m = 1.0;
      l_gradient = 0.0;
    }
    decay_gradient[index] = l_gradient * scale * r * sigmoid(-recurrence_gate[index]);
    gated_gradient[index] = gradient * m * i;
    input_gate_gradient[index] = gradient * m * x * i * sigmoid(-input_gate[index]);
    rate_gradient += l_gradient * -8.0 * r;
  }
  partial[block * shape.channels + channel] = rate_gradient;
}
