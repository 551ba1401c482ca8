// One step of the scan: final_state = decay * state + input.
// Dispatch: one invocation per element.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

struct Shape {
  elements: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> decay: array<f32>; // [batch, 1, channels]
@group(0) @binding(2) var<storage, read> input: array<f32>; // [batch, 1, channels]
@if(HAS_STATE)
@group(0) @binding(3) var<storage, read> state: array<f32>; // [batch, channels]; else final_state holds it
@group(0) @binding(4) var<storage, read_write> final_state: array<f32>; // [batch, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn scan_step(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.elements) {
    return;
  }
  @if(HAS_STATE)
  let before = state[index];
  @else
  let before = final_state[index];
  final_state[index] = decay[index] * before + input[index];
}
