// Passes the state from chunk to chunk: carry = what enters each chunk,
//   next = product * carry + sum;  from the last chunk to the first where REVERSE.
// Dispatch: one invocation per batch element and Slice of channels.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::scan::slice::{Slice, multiply_add};

override REVERSE: bool = false;

struct Shape {
  batch: u32,
  channels: u32, // Slices of them
  chunks: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@if(HAS_START)
@group(0) @binding(1) var<storage, read> start: array<Slice>; // [batch, channels]; else the scan starts from 0
@group(0) @binding(2) var<storage, read> product: array<Slice>; // [batch, chunks, channels]
@group(0) @binding(3) var<storage, read> sum: array<Slice>; // [batch, chunks, channels]
@group(0) @binding(4) var<storage, read_write> carry: array<Slice>; // [batch, chunks, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn scan_carry(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.batch * shape.channels) {
    return;
  }
  let base = index / shape.channels * shape.chunks * shape.channels + index % shape.channels;
  var state = Slice();
  @if(HAS_START)
  state = start[index];
  for (var step = 0u; step < shape.chunks; step++) {
    let chunk = select(step, shape.chunks - 1u - step, REVERSE);
    let at = base + chunk * shape.channels;
    carry[at] = state;
    state = multiply_add(product[at], state, sum[at]);
  }
}
