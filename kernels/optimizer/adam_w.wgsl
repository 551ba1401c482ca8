// One step of AdamW in place, of up to six parameters, with g = gradient * gradient_scale:
//   m = m + (1 - beta1) (g - m),  v = v + (1 - beta2) (g² - v),
//   parameter = parameter (1 - decay * mask) - step_size m / (sqrt(v) * second_correction + epsilon).
// Dispatch: one invocation per four elements, those of the first parameter first, folded past 65,535 workgroups.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

@link const PARAMETERS: u32 = 1u;

struct Shape {
  first_rate: f32, // 1 - beta1
  second_rate: f32, // 1 - beta2
  step_size: f32, // learning rate / (1 - beta1^step); with a schedule, that of the schedule
  second_correction: f32, // 1 / sqrt(1 - beta2^step); with a schedule, that of the schedule
  epsilon: f32,
  vectors0: u32, // of four elements
  vectors1: u32,
  vectors2: u32,
  vectors3: u32,
  vectors4: u32,
  vectors5: u32,
  decay0: f32, // learning rate * weight decay; with a schedule, what that of the schedule is multiplied by
  decay1: f32,
  decay2: f32,
  decay3: f32,
  decay4: f32,
  decay5: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@if(HAS_GRADIENT_SCALE)
@group(0) @binding(1) var<storage, read> gradient_scale: array<f32>; // [1]; else 1
@if(HAS_DECAY_MASK)
@group(0) @binding(2) var<storage, read> decay_mask: array<vec4f>; // [...], of the first; else 1
@group(0) @binding(3) var<storage, read> gradient0: array<vec4f>; // [...]
@group(0) @binding(4) var<storage, read_write> parameter0: array<vec4f>; // [...]
@group(0) @binding(5) var<storage, read_write> first_moment0: array<vec4f>; // [...]
@group(0) @binding(6) var<storage, read_write> second_moment0: array<vec4f>; // [...]
@if(HAS_GRADIENT1)
@group(0) @binding(7) var<storage, read> gradient1: array<vec4f>; // [...]
@if(HAS_PARAMETER1)
@group(0) @binding(8) var<storage, read_write> parameter1: array<vec4f>; // [...]
@if(HAS_FIRST_MOMENT1)
@group(0) @binding(9) var<storage, read_write> first_moment1: array<vec4f>; // [...]
@if(HAS_SECOND_MOMENT1)
@group(0) @binding(10) var<storage, read_write> second_moment1: array<vec4f>; // [...]
@if(HAS_GRADIENT2)
@group(0) @binding(11) var<storage, read> gradient2: array<vec4f>; // [...]
@if(HAS_PARAMETER2)
@group(0) @binding(12) var<storage, read_write> parameter2: array<vec4f>; // [...]
@if(HAS_FIRST_MOMENT2)
@group(0) @binding(13) var<storage, read_write> first_moment2: array<vec4f>; // [...]
@if(HAS_SECOND_MOMENT2)
@group(0) @binding(14) var<storage, read_write> second_moment2: array<vec4f>; // [...]
@if(HAS_GRADIENT3)
@group(0) @binding(15) var<storage, read> gradient3: array<vec4f>; // [...]
@if(HAS_PARAMETER3)
@group(0) @binding(16) var<storage, read_write> parameter3: array<vec4f>; // [...]
@if(HAS_FIRST_MOMENT3)
@group(0) @binding(17) var<storage, read_write> first_moment3: array<vec4f>; // [...]
@if(HAS_SECOND_MOMENT3)
@group(0) @binding(18) var<storage, read_write> second_moment3: array<vec4f>; // [...]
@if(HAS_GRADIENT4)
@group(0) @binding(19) var<storage, read> gradient4: array<vec4f>; // [...]
@if(HAS_PARAMETER4)
@group(0) @binding(20) var<storage, read_write> parameter4: array<vec4f>; // [...]
@if(HAS_FIRST_MOMENT4)
@group(0) @binding(21) var<storage, read_write> first_moment4: array<vec4f>; // [...]
@if(HAS_SECOND_MOMENT4)
@group(0) @binding(22) var<storage, read_write> second_moment4: array<vec4f>; // [...]
@if(HAS_GRADIENT5)
@group(0) @binding(23) var<storage, read> gradient5: array<vec4f>; // [...]
@if(HAS_PARAMETER5)
@group(0) @binding(24) var<storage, read_write> parameter5: array<vec4f>; // [...]
@if(HAS_FIRST_MOMENT5)
@group(0) @binding(25) var<storage, read_write> first_moment5: array<vec4f>; // [...]
@if(HAS_SECOND_MOMENT5)
@group(0) @binding(26) var<storage, read_write> second_moment5: array<vec4f>; // [...]
@if(HAS_SCHEDULE)
@group(0) @binding(27) var<storage, read> schedule: array<f32>; // [3]: step size, second correction, decay

// Which parameter: a constant where these are called, so that one branch is left.
fn vectors_of(which: u32) -> u32 {
  switch (which) {
    case 0u: { return shape.vectors0; }
    case 1u: { return shape.vectors1; }
    case 2u: { return shape.vectors2; }
    case 3u: { return shape.vectors3; }
    case 4u: { return shape.vectors4; }
    default: { return shape.vectors5; }
  }
}

fn decay_of(which: u32) -> f32 {
  switch (which) {
    case 0u: { return shape.decay0; }
    case 1u: { return shape.decay1; }
    case 2u: { return shape.decay2; }
    case 3u: { return shape.decay3; }
    case 4u: { return shape.decay4; }
    default: { return shape.decay5; }
  }
}

fn load(which: u32, at: u32) -> mat4x4f {
  @if(HAS_GRADIENT1)
  if (which == 1u) { return mat4x4f(gradient1[at], parameter1[at], first_moment1[at], second_moment1[at]); }
  @if(HAS_GRADIENT2)
  if (which == 2u) { return mat4x4f(gradient2[at], parameter2[at], first_moment2[at], second_moment2[at]); }
  @if(HAS_GRADIENT3)
  if (which == 3u) { return mat4x4f(gradient3[at], parameter3[at], first_moment3[at], second_moment3[at]); }
  @if(HAS_GRADIENT4)
  if (which == 4u) { return mat4x4f(gradient4[at], parameter4[at], first_moment4[at], second_moment4[at]); }
  @if(HAS_GRADIENT5)
  if (which == 5u) { return mat4x4f(gradient5[at], parameter5[at], first_moment5[at], second_moment5[at]); }
  return mat4x4f(gradient0[at], parameter0[at], first_moment0[at], second_moment0[at]);
}

fn store(which: u32, at: u32, parameter: vec4f, m: vec4f, v: vec4f) {
  if (which == 0u) { parameter0[at] = parameter; first_moment0[at] = m; second_moment0[at] = v; }
  @if(HAS_GRADIENT1)
  if (which == 1u) { parameter1[at] = parameter; first_moment1[at] = m; second_moment1[at] = v; }
  @if(HAS_GRADIENT2)
  if (which == 2u) { parameter2[at] = parameter; first_moment2[at] = m; second_moment2[at] = v; }
  @if(HAS_GRADIENT3)
  if (which == 3u) { parameter3[at] = parameter; first_moment3[at] = m; second_moment3[at] = v; }
  @if(HAS_GRADIENT4)
  if (which == 4u) { parameter4[at] = parameter; first_moment4[at] = m; second_moment4[at] = v; }
  @if(HAS_GRADIENT5)
  if (which == 5u) { parameter5[at] = parameter; first_moment5[at] = m; second_moment5[at] = v; }
}

fn step(which: u32, index: u32) {
  let old = load(which, index); // gradient, parameter, moments
  var g = old[0];
  @if(HAS_GRADIENT_SCALE)
  g *= gradient_scale[0];
  var step_size = shape.step_size;
  var second_correction = shape.second_correction;
  var decay = vec4f(decay_of(which));
  @if(HAS_SCHEDULE) {
    step_size = schedule[0];
    second_correction = schedule[1];
    decay *= schedule[2];
  }
  @if(HAS_DECAY_MASK)
  decay *= decay_mask[index];
  let m = old[2] + shape.first_rate * (g - old[2]);
  let v = old[3] + shape.second_rate * (g * g - old[3]);
  let divisor = sqrt(v) * second_correction + shape.epsilon;
  store(which, index, old[1] - decay * old[1] - step_size * m / divisor, m, v);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn adam_w(invocation: Invocation) {
  let index = number_of(invocation);
  var start = 0u;
  @unroll for (var i = 0u; i < PARAMETERS; i++) {
    let end = start + vectors_of(i);
    if (index >= start && index < end) {
      step(i, index - start);
    }
    start = end;
  }
}
