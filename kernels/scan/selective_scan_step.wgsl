// One step of the selective scan with its length, skip and gate:
//   h' = exp(step * a) * h + step * input * b,  output = (sum over states of c * h' + skip * input) * silu(gate),
// with step = softplus(delta + delta_bias) where SOFTPLUS, and a = -exp(a given) where LOG_RATES.
// Dispatch: one invocation per sequence and channel; it walks its states.

import package::common::activation_kinds::{activate_as, sigmoid4};
import package::common::exponential::exponential;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

override SOFTPLUS: bool = false;
override LOG_RATES: bool = false;

const SOFTPLUS_KIND = 5u;

struct Shape {
  batch: u32,
  channels: u32,
  states: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> input: array<f32>; // [batch, channels]
@group(0) @binding(2) var<storage, read> delta: array<f32>; // [batch, channels]
@group(0) @binding(3) var<storage, read> a: array<f32>; // [channels, states]
@group(0) @binding(4) var<storage, read> b: array<f32>; // [batch, states]
@group(0) @binding(5) var<storage, read> c: array<f32>; // [batch, states]
@if(HAS_SKIP)
@group(0) @binding(6) var<storage, read> skip: array<f32>; // [channels]; else 0
@if(HAS_GATE)
@group(0) @binding(7) var<storage, read> gate: array<f32>; // [batch, channels]; else the output is not gated
@if(HAS_DELTA_BIAS)
@group(0) @binding(8) var<storage, read> delta_bias: array<f32>; // [channels]; else 0
@if(HAS_STATE)
@group(0) @binding(9) var<storage, read> state: array<f32>; // [batch, channels, states]; else final_state holds it
@group(0) @binding(10) var<storage, read_write> output: array<f32>; // [batch, channels]
@group(0) @binding(11) var<storage, read_write> final_state: array<f32>; // [batch, channels, states]

fn rate_of(given: f32) -> f32 {
  if (LOG_RATES) {
    return -exponential(given);
  }
  return given;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn selective_scan_step(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.batch * shape.channels) {
    return;
  }
  let channel = index % shape.channels;
  let row = index / shape.channels * shape.states;
  let u = input[index];
  var step = delta[index];
  @if(HAS_DELTA_BIAS)
  step += delta_bias[channel];
  if (SOFTPLUS) {
    step = activate_as(SOFTPLUS_KIND, vec4f(step)).x;
  }
  var sum = 0.0;
  for (var n = 0u; n < shape.states; n++) {
    let cell = index * shape.states + n;
    @if(HAS_STATE)
    let before = state[cell];
    @else
    let before = final_state[cell];
    let after = exponential(step * rate_of(a[channel * shape.states + n])) * before +
      step * u * b[row + n];
    final_state[cell] = after;
    sum += c[row + n] * after;
  }
  @if(HAS_SKIP)
  sum += skip[channel] * u;
  @if(HAS_GATE) {
    let z = gate[index];
    sum *= z * sigmoid4(vec4f(z)).x;
  }
  output[index] = sum;
}
