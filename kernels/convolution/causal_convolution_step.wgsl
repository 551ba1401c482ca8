// One step of up to three causal depthwise convolutions, each
//   z = bias + sum over j < width - 1 of weight[j] * tail[j] + weight[width - 1] * x;
//   output = z, or z * sigmoid(z) where SILU;  final_tail = the tail without its oldest, then x.
// Dispatch: one invocation per batch element and channel, those of the first convolution first.

import package::common::exponential::exponential;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

override SILU: bool = false;

@link const CONVOLUTIONS: u32 = 1u;

struct Shape {
  batch: u32,
  width: u32,
  channels0: u32,
  channels1: u32,
  channels2: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x0: array<f32>; // [batch, 1, channels0]
@group(0) @binding(2) var<storage, read> weight0: array<f32>; // [channels0, width]
@if(HAS_BIAS0)
@group(0) @binding(3) var<storage, read> bias0: array<f32>; // [channels0]; else 0
@if(HAS_TAIL0)
@group(0) @binding(4) var<storage, read> tail0: array<f32>; // [batch, width - 1, channels0]; else final_tail0 holds it
@if(HAS_X1)
@group(0) @binding(5) var<storage, read> x1: array<f32>; // [batch, 1, channels1]
@if(HAS_WEIGHT1)
@group(0) @binding(6) var<storage, read> weight1: array<f32>; // [channels1, width]
@if(HAS_BIAS1)
@group(0) @binding(7) var<storage, read> bias1: array<f32>; // [channels1]; else 0
@if(HAS_TAIL1)
@group(0) @binding(8) var<storage, read> tail1: array<f32>; // [batch, width - 1, channels1]; else final_tail1 holds it
@if(HAS_X2)
@group(0) @binding(9) var<storage, read> x2: array<f32>; // [batch, 1, channels2]
@if(HAS_WEIGHT2)
@group(0) @binding(10) var<storage, read> weight2: array<f32>; // [channels2, width]
@if(HAS_BIAS2)
@group(0) @binding(11) var<storage, read> bias2: array<f32>; // [channels2]; else 0
@if(HAS_TAIL2)
@group(0) @binding(12) var<storage, read> tail2: array<f32>; // [batch, width - 1, channels2]; else final_tail2 holds it
@group(0) @binding(13) var<storage, read_write> output0: array<f32>; // [batch, 1, channels0]
@group(0) @binding(14) var<storage, read_write> final_tail0: array<f32>; // [batch, width - 1, channels0]
@if(HAS_OUTPUT1)
@group(0) @binding(15) var<storage, read_write> output1: array<f32>; // [batch, 1, channels1]
@if(HAS_FINAL_TAIL1)
@group(0) @binding(16) var<storage, read_write> final_tail1: array<f32>; // [batch, width - 1, channels1]
@if(HAS_OUTPUT2)
@group(0) @binding(17) var<storage, read_write> output2: array<f32>; // [batch, 1, channels2]
@if(HAS_FINAL_TAIL2)
@group(0) @binding(18) var<storage, read_write> final_tail2: array<f32>; // [batch, width - 1, channels2]

// Which convolution: a constant where these are called, so that one branch is left.
fn channels_of(which: u32) -> u32 {
  return select(select(shape.channels0, shape.channels1, which == 1u), shape.channels2, which == 2u);
}

fn x_at(which: u32, at: u32) -> f32 {
  @if(HAS_X1)
  if (which == 1u) { return x1[at]; }
  @if(HAS_X2)
  if (which == 2u) { return x2[at]; }
  return x0[at];
}

fn weight_at(which: u32, at: u32) -> f32 {
  @if(HAS_WEIGHT1)
  if (which == 1u) { return weight1[at]; }
  @if(HAS_WEIGHT2)
  if (which == 2u) { return weight2[at]; }
  return weight0[at];
}

fn bias_at(which: u32, channel: u32) -> f32 {
  @if(HAS_BIAS0)
  if (which == 0u) { return bias0[channel]; }
  @if(HAS_BIAS1)
  if (which == 1u) { return bias1[channel]; }
  @if(HAS_BIAS2)
  if (which == 2u) { return bias2[channel]; }
  return 0.0;
}

fn tail_at(which: u32, at: u32) -> f32 {
  @if(HAS_TAIL1)
  if (which == 1u) { return tail1[at]; }
  @elif(HAS_FINAL_TAIL1)
  if (which == 1u) { return final_tail1[at]; }
  @if(HAS_TAIL2)
  if (which == 2u) { return tail2[at]; }
  @elif(HAS_FINAL_TAIL2)
  if (which == 2u) { return final_tail2[at]; }
  @if(HAS_TAIL0)
  return tail0[at];
  @else
  return final_tail0[at];
}

fn store_output(which: u32, at: u32, value: f32) {
  @if(HAS_OUTPUT1)
  if (which == 1u) { output1[at] = value; }
  @if(HAS_OUTPUT2)
  if (which == 2u) { output2[at] = value; }
  if (which == 0u) { output0[at] = value; }
}

fn store_tail(which: u32, at: u32, value: f32) {
  @if(HAS_FINAL_TAIL1)
  if (which == 1u) { final_tail1[at] = value; }
  @if(HAS_FINAL_TAIL2)
  if (which == 2u) { final_tail2[at] = value; }
  if (which == 0u) { final_tail0[at] = value; }
}

fn step(which: u32, index: u32) {
  let channels = channels_of(which);
  let channel = index % channels;
  let before = shape.width - 1u;
  var at = index / channels * before * channels + channel;
  let newest = x_at(which, index);
  var z = weight_at(which, channel * shape.width + before) * newest;
  z += bias_at(which, channel);
  for (var tap = 0u; tap < before; tap++) {
    let value = tail_at(which, at);
    z += weight_at(which, channel * shape.width + tap) * value;
    if (tap > 0u) {
      store_tail(which, at - channels, value);
    }
    at += channels;
  }
  if (before > 0u) {
    store_tail(which, at - channels, newest);
  }
  if (SILU) {
    z /= 1.0 + exponential(-z);
  }
  store_output(which, index, z);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn causal_convolution_step(invocation: Invocation) {
  let index = number_of(invocation);
  var start = 0u;
  @unroll for (var i = 0u; i < CONVOLUTIONS; i++) {
    let end = start + shape.batch * channels_of(i);
    if (index >= start && index < end) {
      step(i, index - start);
    }
    start = end;
  }
}
