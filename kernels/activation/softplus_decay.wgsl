// The log decay of Mamba-2 and gated DeltaNet: output = -exp(rate) * softplus(x + bias), with a rate for each
// run of channels. Given the output's gradient, with y the output:
//   x_gradient = -exp(rate) * softplus'(x + bias) * output_gradient,  rate_terms = y * output_gradient.
// Dispatch: one invocation per four elements, folded past 65,535 workgroups.

import package::common::activation_kinds::{activate_as, sigmoid4};
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

struct Shape {
  size: u32,
  channels: u32,
  run: u32, // channels that share a rate
}

const SOFTPLUS = 5u;
const EXP = 7u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [..., channels]
@group(0) @binding(2) var<storage, read> bias: array<f32>; // [channels]
@group(0) @binding(3) var<storage, read> rate: array<f32>; // [channels / run]
@if(HAS_OUTPUT_GRADIENT)
@group(0) @binding(4) var<storage, read> output_gradient: array<f32>; // [..., channels]
@if(HAS_OUTPUT)
@group(0) @binding(5) var<storage, read_write> output: array<f32>; // [..., channels]
@if(HAS_X_GRADIENT)
@group(0) @binding(6) var<storage, read_write> x_gradient: array<f32>; // [..., channels]
@if(HAS_RATE_TERMS)
@group(0) @binding(7) var<storage, read_write> rate_terms: array<f32>; // [..., channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn softplus_decay(invocation: Invocation) {
  let first = number_of(invocation) * 4u;
  if (first >= shape.size) {
    return;
  }
  let at = min(vec4u(first) + vec4u(0u, 1u, 2u, 3u), vec4u(shape.size - 1u));
  let channel = at % shape.channels;
  let runs = channel / shape.run;
  let z = vec4f(x[at.x], x[at.y], x[at.z], x[at.w]) +
    vec4f(bias[channel.x], bias[channel.y], bias[channel.z], bias[channel.w]);
  let slope = -activate_as(EXP, vec4f(rate[runs.x], rate[runs.y], rate[runs.z], rate[runs.w]));
  let y = slope * activate_as(SOFTPLUS, z);
  @if(HAS_OUTPUT) {
    @unroll for (var j = 0u; j < 4u; j++) {
      if (first + j < shape.size) { output[first + j] = y[j]; }
    }
  }
  @if(HAS_OUTPUT_GRADIENT) {
    let dy = vec4f(output_gradient[at.x], output_gradient[at.y], output_gradient[at.z], output_gradient[at.w]);
    let dx = slope * sigmoid4(z) * dy;
    let terms = y * dy;
    @unroll for (var j = 0u; j < 4u; j++) {
      if (first + j < shape.size) {
        x_gradient[first + j] = dx[j];
        rate_terms[first + j] = terms[j];
      }
    }
  }
}
