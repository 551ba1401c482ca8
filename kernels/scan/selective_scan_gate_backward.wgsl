// The gate's gradient: gate_gradient = output_gradient * (y + skip * input) * silu'(gate).
// Dispatch: one invocation per element.

import package::common::exponential::exponential;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

override ACCUMULATE: bool = false; // add to the gradient through the states before, which holds the skip's

struct Shape {
  rows: u32, // batch * time
  channels: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> step_gradient: array<vec4f>; // [rows, channels]: delta_gradient, input_gradient, y, y_gradient
@group(0) @binding(2) var<storage, read> input: array<f32>; // [rows, channels]
@if(HAS_SKIP)
@group(0) @binding(3) var<storage, read> skip: array<f32>; // [channels]; else 0
@group(0) @binding(4) var<storage, read> gate: array<f32>; // [rows, channels]
@group(0) @binding(5) var<storage, read> output_gradient: array<f32>; // [rows, channels]
@group(0) @binding(6) var<storage, read_write> gate_gradient: array<f32>; // [rows, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn selective_scan_gate_backward(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.rows * shape.channels) {
    return;
  }
  var y = step_gradient[index].z;
  @if(HAS_SKIP)
  if (!ACCUMULATE) {
    y += skip[index % shape.channels] * input[index];
  }
  let z = gate[index];
  let s = 1.0 / (1.0 + exponential(-z));
  var gradient = output_gradient[index] * y * s * (1.0 + z * (1.0 - s));
  if (ACCUMULATE) {
    gradient += gate_gradient[index];
  }
  gate_gradient[index] = gradient;
}
