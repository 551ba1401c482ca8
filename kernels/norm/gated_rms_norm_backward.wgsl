// Gradients of gated_rms_norm, of short groups. With p = x (+ skip * values), a = kind(gate), where GATE_FIRST
// u = p * a and else u = p, r = inverseSqrt(mean(u * u) + epsilon), n = u * r * weight (u where there is no weight):
//   dn = dy, times a where there is a gate and it is not first:  dgate = kind'(gate) * n * dy then
//   du = r * (dŷ - u * r * mean(dŷ * u * r)) with dŷ = dn * weight,  dweight = sum over tokens of dn * u * r
//   dp = du, times a where GATE_FIRST:  dgate = kind'(gate) * p * du then
//   dx = dp,  dvalues = skip * dp,  dskip = sum over tokens and the skip's channels of dp * values
// An invocation holds a group of a token in registers, and the sums of its tokens, a run of them.
// Dispatch: one invocation per run of tokens and group, folded past 65,535 workgroups.

import package::common::activation_kinds::{activate, activation_slope};
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

override GROUPS: u32 = 1u; // of a token
override WEIGHT_GROUPS: u32 = 1u; // groups that have a weight of their own; else 1

@link const COLUMNS: u32 = 4u; // vec4s of a group
@link const RUN: u32 = 4u; // vec4s that share a skip: they divide a group

struct Shape {
  tokens: u32,
  run: u32, // of an invocation
  epsilon: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [tokens, GROUPS, COLUMNS]
@if(HAS_WEIGHT)
@group(0) @binding(2) var<storage, read> weight: array<vec4f>; // [WEIGHT_GROUPS, COLUMNS]
@if(HAS_GATE)
@group(0) @binding(3) var<storage, read> gate: array<vec4f>; // [tokens, GROUPS, COLUMNS]
@if(HAS_VALUES)
@group(0) @binding(4) var<storage, read> values: array<vec4f>; // [tokens, GROUPS, COLUMNS]
@if(HAS_SKIP)
@group(0) @binding(5) var<storage, read> skip: array<f32>; // [GROUPS, COLUMNS / RUN]
@group(0) @binding(6) var<storage, read> output_gradient: array<vec4f>; // [tokens, GROUPS, COLUMNS]
@group(0) @binding(7) var<storage, read_write> x_gradient: array<vec4f>; // [tokens, GROUPS, COLUMNS]
@if(HAS_GATE_GRADIENT)
@group(0) @binding(8) var<storage, read_write> gate_gradient: array<vec4f>; // [tokens, GROUPS, COLUMNS]
@if(HAS_VALUES_GRADIENT)
@group(0) @binding(9) var<storage, read_write> values_gradient: array<vec4f>; // [tokens, GROUPS, COLUMNS]
@if(HAS_WEIGHT_PARTS)
@group(0) @binding(10) var<storage, read_write> weight_parts: array<vec4f>; // [runs, GROUPS, COLUMNS]
@if(HAS_SKIP_PARTS)
@group(0) @binding(11) var<storage, read_write> skip_parts: array<f32>; // [runs, GROUPS, COLUMNS / RUN]

fn total(sum: vec4f) -> f32 {
  return (sum.x + sum.y) + (sum.z + sum.w);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn gated_rms_norm_backward(invocation: Invocation) {
  let number = number_of(invocation);
  let group = number % GROUPS;
  let run = number / GROUPS;
  let first = run * shape.run;
  // Loaded before anything branches: from constant places a software adapter loads once for all invocations.
  var weights: array<vec4f, COLUMNS>;
  var skips: array<f32, COLUMNS>;
  var weight_sums = array<vec4f, COLUMNS>();
  var skip_sums = array<vec4f, COLUMNS / RUN>();
  @unroll for (var i = 0u; i < COLUMNS; i++) {
    @if(HAS_WEIGHT)
    weights[i] = weight[group % WEIGHT_GROUPS * COLUMNS + i];
    @if(HAS_SKIP)
    skips[i] = skip[(group * COLUMNS + i) / RUN];
  }
  if (first >= shape.tokens) {
    return;
  }
  let last = min(first + shape.run, shape.tokens);
  for (var token = first; token < last; token++) {
    let start = (token * GROUPS + group) * COLUMNS;
    var passed: array<vec4f, COLUMNS>; // p
    var factors: array<vec4f, COLUMNS>; // a
    var slopes: array<vec4f, COLUMNS>; // kind'(gate)
    var skipped: array<vec4f, COLUMNS>; // values
    var normed: array<vec4f, COLUMNS>; // u, then u * r
    var gradients: array<vec4f, COLUMNS>; // dy, dŷ, du and dp in turn
    var squares = vec4f();
    @unroll for (var i = 0u; i < COLUMNS; i++) {
      passed[i] = x[start + i];
      @if(HAS_VALUES) {
        skipped[i] = values[start + i];
        passed[i] += skips[i] * skipped[i];
      }
      @if(HAS_GATE) {
        let g = gate[start + i];
        factors[i] = activate(g);
        slopes[i] = activation_slope(g);
      }
      normed[i] = passed[i];
      @if(GATE_FIRST)
      normed[i] *= factors[i];
      squares += normed[i] * normed[i];
      gradients[i] = output_gradient[start + i];
    }
    let scale = inverseSqrt(total(squares) / f32(4u * COLUMNS) + shape.epsilon);
    var sum = vec4f();
    @unroll for (var i = 0u; i < COLUMNS; i++) {
      @if(HAS_WEIGHT)
      normed[i] *= scale;
      @if(HAS_GATE_GRADIENT && !GATE_FIRST) {
        var n = normed[i];
        @if(HAS_WEIGHT)
        n *= weights[i];
        gate_gradient[start + i] = slopes[i] * n * gradients[i];
        gradients[i] *= factors[i];
      }
      @if(HAS_WEIGHT) {
        weight_sums[i] += gradients[i] * normed[i];
        gradients[i] *= weights[i];
        sum += gradients[i] * normed[i];
      }
    }
    let mean = total(sum) / f32(4u * COLUMNS);
    @unroll for (var i = 0u; i < COLUMNS; i++) {
      @if(HAS_WEIGHT)
      gradients[i] = scale * (gradients[i] - normed[i] * mean);
      @if(HAS_GATE_GRADIENT && GATE_FIRST) {
        gate_gradient[start + i] = slopes[i] * passed[i] * gradients[i];
        gradients[i] *= factors[i];
      }
      x_gradient[start + i] = gradients[i];
      @if(HAS_VALUES) {
        values_gradient[start + i] = skips[i] * gradients[i];
        skip_sums[i / RUN] += gradients[i] * skipped[i];
      }
    }
  }
  @unroll for (var i = 0u; i < COLUMNS; i++) {
    @if(HAS_WEIGHT)
    weight_parts[number * COLUMNS + i] = weight_sums[i];
    @if(HAS_VALUES)
    if (i % RUN == 0u) {
      skip_parts[(number * COLUMNS + i) / RUN] = total(skip_sums[i / RUN]);
    }
  }
}
