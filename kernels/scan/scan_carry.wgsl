// Passes the state from chunk to chunk: carry = what enters each chunk,
//   next = product * carry + sum;  from the last chunk to the first where REVERSE.
// Dispatch: one invocation per batch element and Lane of channels.

import package::scan::lane::{Lane, multiply_add};

override WORKGROUP_SIZE: u32 = 64u;
override REVERSE: bool = false;

struct Shape {
  batch: u32,
  channels: u32, // Lanes of them
  chunks: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@if(HAS_START)
@group(0) @binding(1) var<storage, read> start: array<Lane>; // [batch, channels]; else the scan starts from 0
@group(0) @binding(2) var<storage, read> product: array<Lane>; // [batch, chunks, channels]
@group(0) @binding(3) var<storage, read> sum: array<Lane>; // [batch, chunks, channels]
@group(0) @binding(4) var<storage, read_write> carry: array<Lane>; // [batch, chunks, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn scan_carry(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local;
  if (index >= shape.batch * shape.channels) {
    return;
  }
  let base = index / shape.channels * shape.chunks * shape.channels + index % shape.channels;
  var state = Lane();
  @if(HAS_START)
  state = start[index];
  for (var step = 0u; step < shape.chunks; step++) {
    let chunk = select(step, shape.chunks - 1u - step, REVERSE);
    let at = base + chunk * shape.channels;
    carry[at] = state;
    state = multiply_add(product[at], state, sum[at]);
  }
}
