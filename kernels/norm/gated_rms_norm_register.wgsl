// gated_rms_norm of short groups: an invocation holds a group of a token in registers, and the weights and skips
// for its tokens, a run of them. With u = x (+ skip * values), times kind(gate) where GATE_FIRST,
//   output = u * inverseSqrt(mean(u * u) + epsilon) * weight (u where there is no weight),
// times kind(gate) where there is a gate and it is not first.
// Dispatch: one invocation per run of tokens and group, folded past 65,535 workgroups.

import package::common::activation_kinds::activate;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

override GROUPS: u32 = 1u; // of a token
override WEIGHT_GROUPS: u32 = 1u; // groups that have a weight of their own; else 1

@link const COLUMNS: u32 = 4u; // vec4s of a group
@link const RUN: u32 = 4u; // vec4s that share a skip

struct Shape {
  tokens: u32,
  run: u32, // of an invocation
  gate_stride: u32, // vec4s from a token's gates to the next token's
  gate_start: u32, // vec4s before a token's gates
  epsilon: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [tokens, GROUPS, COLUMNS]
@if(HAS_WEIGHT)
@group(0) @binding(2) var<storage, read> weight: array<vec4f>; // [WEIGHT_GROUPS, COLUMNS]
@if(HAS_GATE)
@group(0) @binding(3) var<storage, read> gate: array<vec4f>; // [tokens, gate_stride]
@if(HAS_VALUES)
@group(0) @binding(4) var<storage, read> values: array<vec4f>; // [tokens, GROUPS, COLUMNS]
@if(HAS_SKIP)
@group(0) @binding(5) var<storage, read> skip: array<f32>; // [GROUPS * COLUMNS / RUN]
@group(0) @binding(6) var<storage, read_write> output: array<vec4f>; // [tokens, GROUPS, COLUMNS]

@compute @workgroup_size(WORKGROUP_SIZE)
fn gated_rms_norm_register(invocation: Invocation) {
  let number = number_of(invocation);
  let group = number % GROUPS;
  let first = number / GROUPS * shape.run;
  // Loaded before anything branches: from constant places a software adapter loads once for all invocations.
  var weights: array<vec4f, COLUMNS>;
  var skips: array<f32, COLUMNS>;
  @unroll for (var i = 0u; i < COLUMNS; i++) {
    @if(HAS_WEIGHT)
    weights[i] = weight[group % WEIGHT_GROUPS * COLUMNS + i];
    @if(HAS_SKIP)
    skips[i] = skip[(group * COLUMNS + i) / RUN];
  }
  let last = min(first + shape.run, shape.tokens);
  for (var token = first; token < last; token++) {
    let start = (token * GROUPS + group) * COLUMNS;
    let gate_start = token * shape.gate_stride + shape.gate_start + group * COLUMNS;
    var held: array<vec4f, COLUMNS>;
    var factors: array<vec4f, COLUMNS>;
    var squares = vec4f();
    @unroll for (var i = 0u; i < COLUMNS; i++) {
      held[i] = x[start + i];
      @if(HAS_VALUES)
      held[i] += skips[i] * values[start + i];
      @if(HAS_GATE)
      factors[i] = activate(gate[gate_start + i]);
      @if(GATE_FIRST)
      held[i] *= factors[i];
      squares += held[i] * held[i];
    }
    let mean = ((squares.x + squares.y) + (squares.z + squares.w)) / f32(4u * COLUMNS);
    let scale = inverseSqrt(mean + shape.epsilon);
    @unroll for (var i = 0u; i < COLUMNS; i++) {
      var y = held[i];
      @if(HAS_WEIGHT)
      y *= scale * weights[i];
      @if(HAS_GATE && !GATE_FIRST)
      y *= factors[i];
      output[start + i] = y;
    }
  }
}
