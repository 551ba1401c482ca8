// Gradients of skip and delta bias, summed over blocks of BLOCK rows:
//   skip_gradient = sum of y_gradient * input,  delta_bias_gradient = sum of delta_gradient.
// Dispatch: x = ceil(channels / WORKGROUP_SIZE), y = blocks of BLOCK rows.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};

override BLOCK: u32 = 64u;

struct Shape {
  rows: u32, // batch * time
  channels: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> step_gradient: array<vec4f>; // [rows, channels]: delta_gradient, input_gradient, y, y_gradient
@group(0) @binding(2) var<storage, read> input: array<f32>; // [rows, channels]
@group(0) @binding(3) var<storage, read> delta_gradient: array<f32>; // [rows, channels]
@group(0) @binding(4) var<storage, read_write> skip_partial: array<f32>; // [blocks, channels]
@group(0) @binding(5) var<storage, read_write> bias_partial: array<f32>; // [blocks, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn selective_scan_parameters(invocation: Invocation) {
  let channel = invocation.workgroup.x * WORKGROUP_SIZE + invocation.local;
  let block = invocation.workgroup.y;
  if (channel >= shape.channels) {
    return;
  }
  var for_skip = 0.0;
  var for_bias = 0.0;
  let last = min((block + 1u) * BLOCK, shape.rows);
  for (var row = block * BLOCK; row < last; row++) {
    let index = row * shape.channels + channel;
    for_skip += step_gradient[index].w * input[index];
    for_bias += delta_gradient[index];
  }
  skip_partial[block * shape.channels + channel] = for_skip;
  bias_partial[block * shape.channels + channel] = for_bias;
}
