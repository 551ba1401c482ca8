// The gates of RG-LRU as decay and input of a scan:
//   l = -8 * rate * sigmoid(recurrence_gate),  decay = exp(l),
//   gated = sqrt(1 - decay²) * sigmoid(input_gate) * input.
// Where RESET_FIRST, step 0 begins a document: decay = 0, and 1 for the square root.
// Dispatch: one invocation for four elements, the last of which may be padding.

import package::common::exponential::exponential_quad;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::scan::one_minus_exponential::one_minus_exponential;

override RESET_FIRST: bool = false;

struct Shape {
  batch: u32,
  time: u32,
  channels: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> input: array<vec4f>; // [batch, time, channels]
@group(0) @binding(2) var<storage, read> recurrence_gate: array<vec4f>; // [batch, time, channels]
@group(0) @binding(3) var<storage, read> input_gate: array<vec4f>; // [batch, time, channels]
@group(0) @binding(4) var<storage, read> rate: array<f32>; // [channels], softplus of the parameter
@group(0) @binding(5) var<storage, read_write> decay: array<vec4f>; // [batch, time, channels]
@group(0) @binding(6) var<storage, read_write> gated: array<vec4f>; // [batch, time, channels]

fn sigmoid(x: vec4f) -> vec4f {
  return 1.0 / (1.0 + exponential_quad(-x));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn rg_lru_gates(invocation: Invocation) {
  let index = number_of(invocation);
  if (4u * index >= shape.batch * shape.time * shape.channels) {
    return;
  }
  let element = vec4u(4u * index) + vec4u(0u, 1u, 2u, 3u);
  let channel = element % shape.channels;
  let rates = vec4f(rate[channel.x], rate[channel.y], rate[channel.z], rate[channel.w]);
  let log_decay = -8.0 * rates * sigmoid(recurrence_gate[index]);
  var a = exponential_quad(log_decay);
  var multiplier = sqrt(one_minus_exponential(2.0 * log_decay));
  if (RESET_FIRST) {
    let is_first = element / shape.channels % shape.time == vec4u(0u);
    a = select(a, vec4f(0.0), is_first);
    multiplier = select(multiplier, vec4f(1.0), is_first);
  }
  decay[index] = a;
  gated[index] = multiplier * sigmoid(input_gate[index]) * input[index];
}
