// The skip and the gate of the selective scan, in place: output = (output + skip * input) * gate * sigmoid(gate).
// Dispatch: one invocation per element.

import package::common::exponential::exponential;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

struct Shape {
  rows: u32, // batch * time
  channels: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> input: array<f32>; // [rows, channels]
@if(HAS_SKIP)
@group(0) @binding(2) var<storage, read> skip: array<f32>; // [channels]; else 0
@if(HAS_GATE)
@group(0) @binding(3) var<storage, read> gate: array<f32>; // [rows, channels]; else the output is not gated
@group(0) @binding(4) var<storage, read_write> output: array<f32>; // [rows, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn selective_scan_gate(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.rows * shape.channels) {
    return;
  }
  var y = output[index];
  @if(HAS_SKIP)
  y += skip[index % shape.channels] * input[index];
  @if(HAS_GATE)
  y *= gate[index] / (1.0 + exponential(-gate[index]));
  output[index] = y;
}
