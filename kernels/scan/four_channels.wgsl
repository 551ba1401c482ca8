// Four channels of a sequence whose states an invocation holds in registers, side by side in each vector:
//   h = exp(step * a) * h + step * input * b,  step = softplus(delta + delta_bias) where SOFTPLUS

import package::common::activation_kinds::activate_as;
import package::common::exponential::exponential_quad;

@link
const STATE_FOURS: u32 = 4u; // states of a channel are four times as many

const SOFTPLUS_KIND = 5u;
override SOFTPLUS: bool = false;

struct Shape {
  batch: u32,
  time: u32,
  fours: u32, // of channels
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> input: array<vec4f>; // [batch, time, fours]
@group(0) @binding(2) var<storage, read> delta: array<vec4f>; // [batch, time, fours]
@group(0) @binding(3) var<storage, read> a: array<vec4f>; // [channels, STATE_FOURS]
@group(0) @binding(4) var<storage, read> b: array<vec4f>; // [batch, time, STATE_FOURS]
@group(0) @binding(5) var<storage, read> c: array<vec4f>; // [batch, time, STATE_FOURS]
@if(HAS_SKIP)
@group(0) @binding(6) var<storage, read> skip: array<vec4f>; // [fours]; else 0
@if(HAS_GATE)
@group(0) @binding(7) var<storage, read> gate: array<vec4f>; // [batch, time, fours]; else the output is not gated
@if(HAS_DELTA_BIAS)
@group(0) @binding(8) var<storage, read> delta_bias: array<vec4f>; // [fours]; else 0
@if(HAS_INITIAL_STATE)
@group(0) @binding(9) var<storage, read> initial_state: array<vec4f>; // [batch, channels, STATE_FOURS]; else 0

var<private> rate: array<vec4f, 4 * STATE_FOURS>; // a, of each state
var<private> h: array<vec4f, 4 * STATE_FOURS>;

// Delta with its bias.
fn delta_at(at: u32) -> vec4f {
  var value = delta[at];
  @if(HAS_DELTA_BIAS)
  value += delta_bias[at % shape.fours];
  return value;
}

fn step_of(delta: vec4f) -> vec4f {
  if (SOFTPLUS) {
    return activate_as(SOFTPLUS_KIND, delta);
  }
  return delta;
}

// Four states of the four channels from the rows of each channel: one vector per state.
fn by_state(x: vec4f, y: vec4f, z: vec4f, w: vec4f) -> mat4x4f {
  return transpose(mat4x4f(x, y, z, w));
}

// The rates, and the states before the first token; `chain` counts through [batch, fours].
fn start(chain: u32) {
  let first = chain % shape.fours * 4u * STATE_FOURS;
  @unroll
  for (var i = 0u; i < STATE_FOURS; i++) {
    let rates = by_state(
      a[first + i],
      a[first + STATE_FOURS + i],
      a[first + 2u * STATE_FOURS + i],
      a[first + 3u * STATE_FOURS + i],
    );
    @if(HAS_INITIAL_STATE)
    let states = by_state(
      initial_state[4u * chain * STATE_FOURS + i],
      initial_state[(4u * chain + 1u) * STATE_FOURS + i],
      initial_state[(4u * chain + 2u) * STATE_FOURS + i],
      initial_state[(4u * chain + 3u) * STATE_FOURS + i],
    );
    @unroll
    for (var n = 0u; n < 4u; n++) {
      rate[4u * i + n] = rates[n];
      @if(HAS_INITIAL_STATE)
      h[4u * i + n] = states[n];
    }
  }
}

// The states after a token; `row` is in [batch, time].
fn advance(row: u32, step: vec4f, driven: vec4f) {
  @unroll
  for (var i = 0u; i < STATE_FOURS; i++) {
    let b_now = b[row * STATE_FOURS + i];
    @unroll
    for (var n = 0u; n < 4u; n++) {
      h[4u * i + n] = exponential_quad(step * rate[4u * i + n]) * h[4u * i + n] + driven * b_now[n];
    }
  }
}
