// Gathers what the backward pass reads at each step and channel:
//   step = (delta, input, y_gradient, y_gradient),  y_gradient = output_gradient * gate * sigmoid(gate).
// Dispatch: one invocation per element.

import package::common::exponential::exponential;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

struct Shape {
  elements: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> input: array<f32>; // [batch, time, channels]
@group(0) @binding(2) var<storage, read> delta: array<f32>; // [batch, time, channels]
@if(HAS_GATE)
@group(0) @binding(3) var<storage, read> gate: array<f32>; // [batch, time, channels]; else y_gradient = output_gradient
@group(0) @binding(4) var<storage, read> output_gradient: array<f32>; // [batch, time, channels]
@group(0) @binding(5) var<storage, read_write> step: array<vec4f>; // [batch, time, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn selective_scan_prepare(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.elements) {
    return;
  }
  var gradient = output_gradient[index];
  @if(HAS_GATE)
  gradient *= gate[index] / (1.0 + exponential(-gate[index]));
  step[index] = vec4f(delta[index], input[index], gradient, gradient);
}
