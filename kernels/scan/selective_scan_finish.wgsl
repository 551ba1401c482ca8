// From the gradients at each step to those of what the caller gave:
//   input_gradient += skip * y_gradient,  delta_gradient *= sigmoid(delta + bias) where SOFTPLUS.
// Dispatch: one invocation per element.

import package::common::exponential::exponential;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

override SOFTPLUS: bool = false;
override ACCUMULATE: bool = false; // add to the gradients through the states before, which hold the skip's

struct Shape {
  rows: u32, // batch * time
  channels: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> step_gradient: array<vec4f>; // [rows, channels]: delta_gradient, input_gradient, y, y_gradient
@group(0) @binding(2) var<storage, read> delta: array<f32>; // [rows, channels]
@if(HAS_BIAS)
@group(0) @binding(3) var<storage, read> bias: array<f32>; // [channels]; else 0
@if(HAS_SKIP)
@group(0) @binding(4) var<storage, read> skip: array<f32>; // [channels]; else 0
@group(0) @binding(5) var<storage, read_write> input_gradient: array<f32>; // [rows, channels]
@group(0) @binding(6) var<storage, read_write> delta_gradient: array<f32>; // [rows, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn selective_scan_finish(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.rows * shape.channels) {
    return;
  }
  let channel = index % shape.channels;
  let now = step_gradient[index];
  var for_delta = now.x;
  if (SOFTPLUS) {
    var before = delta[index];
    @if(HAS_BIAS)
    before += bias[channel];
    for_delta /= 1.0 + exponential(-before);
  }
  var for_input = now.y;
  if (ACCUMULATE) {
    for_delta += delta_gradient[index];
    for_input += input_gradient[index];
  } else {
    @if(HAS_SKIP)
    for_input += skip[channel] * now.w;
  }
  delta_gradient[index] = for_delta;
  input_gradient[index] = for_input;
}
