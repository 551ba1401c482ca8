// One step of RG-LRU, with l = -8 * softplus(decay_parameter) * sigmoid(recurrence_gate):
//   final_state = exp(l) * state + sqrt(1 - exp(2 l)) * sigmoid(input_gate) * input.
// Where RESET_FIRST, the step begins a document: sigmoid(input_gate) * input alone.
// Dispatch: one invocation for four elements, the last of which may be padding.

import package::common::activation_kinds::{activate_as, sigmoid4};
import package::common::exponential::exponential_quad;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::scan::one_minus_exponential::one_minus_exponential;

override RESET_FIRST: bool = false;

const SOFTPLUS_KIND = 5u;

struct Shape {
  elements: u32,
  channels: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> input: array<vec4f>; // [batch, channels]
@group(0) @binding(2) var<storage, read> recurrence_gate: array<vec4f>; // [batch, channels]
@group(0) @binding(3) var<storage, read> input_gate: array<vec4f>; // [batch, channels]
@group(0) @binding(4) var<storage, read> decay_parameter: array<f32>; // [channels]
@if(HAS_STATE)
@group(0) @binding(5) var<storage, read> state: array<vec4f>; // [batch, channels]; else final_state holds it
@group(0) @binding(6) var<storage, read_write> final_state: array<vec4f>; // [batch, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn rg_lru_step(invocation: Invocation) {
  let index = number_of(invocation);
  if (4u * index >= shape.elements) {
    return;
  }
  let gated = sigmoid4(input_gate[index]) * input[index];
  if (RESET_FIRST) {
    final_state[index] = gated;
    return;
  }
  let channel = (vec4u(4u * index) + vec4u(0u, 1u, 2u, 3u)) % shape.channels;
  let parameter = vec4f(
    decay_parameter[channel.x],
    decay_parameter[channel.y],
    decay_parameter[channel.z],
    decay_parameter[channel.w],
  );
  let rate = activate_as(SOFTPLUS_KIND, parameter);
  let log_decay = -8.0 * rate * sigmoid4(recurrence_gate[index]);
  @if(HAS_STATE)
  let before = state[index];
  @else
  let before = final_state[index];
  final_state[index] = exponential_quad(log_decay) * before +
    sqrt(one_minus_exponential(2.0 * log_decay)) * gated;
}
