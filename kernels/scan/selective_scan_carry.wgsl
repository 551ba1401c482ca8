// Passes the state of the selective scan from chunk to chunk: in place of each chunk's sum comes what
// enters the chunk, next = exp(a * delta_sum) * carry + sum;  from the last to the first where REVERSE.
// Dispatch: one invocation per batch element, channel and state.

import package::common::exponential::exponential;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

override REVERSE: bool = false;

struct Shape {
  batch: u32,
  channels: u32,
  state: u32,
  chunks: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@if(HAS_START)
@group(0) @binding(1) var<storage, read> start: array<f32>; // [batch, channels, state]; else the scan starts from 0
@group(0) @binding(2) var<storage, read> a: array<f32>; // [channels, state]
@group(0) @binding(3) var<storage, read> delta_sum: array<f32>; // [chunks, batch, channels]
@group(0) @binding(4) var<storage, read_write> carry: array<f32>; // [chunks, batch, channels, state]

@compute @workgroup_size(WORKGROUP_SIZE)
fn selective_scan_carry(invocation: Invocation) {
  let index = number_of(invocation);
  let rows = shape.batch * shape.channels;
  if (index >= rows * shape.state) {
    return;
  }
  let row = index / shape.state;
  let rate = a[index % (shape.channels * shape.state)];
  var state = 0.0;
  @if(HAS_START)
  state = start[index];
  for (var step = 0u; step < shape.chunks; step++) {
    let chunk = select(step, shape.chunks - 1u - step, REVERSE);
    let at = chunk * rows * shape.state + index;
    let sum = carry[at];
    carry[at] = state;
    state = exponential(rate * delta_sum[chunk * rows + row]) * state + sum;
  }
}
