// One step of the causal depthwise convolution:
//   z = bias + sum over j < width - 1 of weight[j] * tail[j] + weight[width - 1] * x;
//   output = z, or z * sigmoid(z) where SILU;  final_tail = the tail without its oldest, then x.
// Dispatch: one invocation a batch element and channel.

import package::common::exponential::exponential;

override WORKGROUP_SIZE: u32 = 64u;
override SILU: bool = false;

struct Shape {
  batch: u32,
  channels: u32,
  width: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [batch, 1, channels]
@group(0) @binding(2) var<storage, read> weight: array<f32>; // [channels, width]
@if(HAS_BIAS)
@group(0) @binding(3) var<storage, read> bias: array<f32>; // [channels]; else 0
@group(0) @binding(4) var<storage, read> tail: array<f32>; // [batch, width - 1, channels]
@group(0) @binding(5) var<storage, read_write> output: array<f32>; // [batch, 1, channels]
@group(0) @binding(6) var<storage, read_write> final_tail: array<f32>; // [batch, width - 1, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn causal_convolution_step(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local;
  if (index >= shape.batch * shape.channels) {
    return;
  }
  let channel = index % shape.channels;
  let before = shape.width - 1u;
  var at = index / shape.channels * before * shape.channels + channel;
  let newest = x[index];
  var z = weight[channel * shape.width + before] * newest;
  @if(HAS_BIAS)
  z += bias[channel];
  for (var tap = 0u; tap < before; tap++) {
    let value = tail[at];
    z += weight[channel * shape.width + tap] * value;
    if (tap > 0u) {
      final_tail[at - shape.channels] = value;
    }
    at += shape.channels;
  }
  if (before > 0u) {
    final_tail[at - shape.channels] = newest;
  }
  if (SILU) {
    z /= 1.0 + exponential(-z);
  }
  output[index] = z;
}
