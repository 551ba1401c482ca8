// Gradients of the selective scan, token by token. It walks forward and notes the states before each token, then
// back, with g the gradient of h and y = sum over states of c * h + skip * input:
//   y_gradient = output_gradient * silu(gate),  gate_gradient = output_gradient * y * silu'(gate)
//   g += c * y_gradient,  c_gradient = sum over channels of y_gradient * h
//   b_gradient = sum over channels of g * step * input
//   input_gradient = step * sum over states of g * b + skip * y_gradient
//   step_gradient = sum over states of g * (a * exp(step * a) * h before + input * b), of delta times softplus'
//   a_gradient = sum over tokens of g * step * exp(step * a) * h before,  g *= exp(step * a)
// Sums over channels are left as a part for each four of them, those over tokens as one for each sequence.
// Dispatch: one invocation per sequence and four channels.

import package::common::activation_kinds::sigmoid4;
import package::common::exponential::exponential_quad;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::scan::four_channels::{
  SOFTPLUS, STATE_FOURS, advance, b, by_state, c, delta_at, h, input, rate, shape, start, step_of,
};
@if(HAS_GATE)
import package::scan::four_channels::gate;
@if(HAS_SKIP)
import package::scan::four_channels::skip;

@group(0) @binding(10) var<storage, read> output_gradient: array<vec4f>; // [batch, time, fours]
@if(HAS_FINAL_STATE_GRADIENT)
@group(0) @binding(11) var<storage, read> final_state_gradient: array<vec4f>; // [batch, channels, STATE_FOURS]; else 0
@group(0) @binding(12) var<storage, read_write> history: array<vec4f>; // [batch, fours, time, states]: h before each token
@group(0) @binding(13) var<storage, read_write> input_gradient: array<vec4f>; // [batch, time, fours]
@group(0) @binding(14) var<storage, read_write> delta_gradient: array<vec4f>; // [batch, time, fours]
@if(HAS_GATE_GRADIENT)
@group(0) @binding(15) var<storage, read_write> gate_gradient: array<vec4f>; // [batch, time, fours]
@group(0) @binding(16) var<storage, read_write> b_parts: array<vec4f>; // [batch, time, fours, STATE_FOURS]
@group(0) @binding(17) var<storage, read_write> c_parts: array<vec4f>; // [batch, time, fours, STATE_FOURS]
@group(0) @binding(18) var<storage, read_write> a_parts: array<vec4f>; // [batch, channels, STATE_FOURS]
@group(0) @binding(19) var<storage, read_write> skip_parts: array<vec4f>; // [batch, fours]
@group(0) @binding(20) var<storage, read_write> bias_parts: array<vec4f>; // [batch, fours]
@if(HAS_INITIAL_STATE_GRADIENT)
@group(0) @binding(21) var<storage, read_write> initial_state_gradient: array<vec4f>; // [batch, channels, STATE_FOURS]

var<private> g: array<vec4f, 4 * STATE_FOURS>;
var<private> a_gradient: array<vec4f, 4 * STATE_FOURS>;
var<private> skip_gradient: vec4f;
var<private> bias_gradient: vec4f;

fn start_back(chain: u32) {
  @if(HAS_FINAL_STATE_GRADIENT)
  @unroll
  for (var i = 0u; i < STATE_FOURS; i++) {
    let states = by_state(
      final_state_gradient[4u * chain * STATE_FOURS + i],
      final_state_gradient[(4u * chain + 1u) * STATE_FOURS + i],
      final_state_gradient[(4u * chain + 2u) * STATE_FOURS + i],
      final_state_gradient[(4u * chain + 3u) * STATE_FOURS + i],
    );
    @unroll
    for (var n = 0u; n < 4u; n++) {
      g[4u * i + n] = states[n];
    }
  }
}

// One token back; `slot` is where the states before it were noted.
fn step_back(row: u32, four: u32, slot: u32) {
  let at = row * shape.fours + four;
  let raw = delta_at(at);
  let step = step_of(raw);
  let u = input[at];
  var y_gradient = output_gradient[at];
  @if(HAS_GATE)
  let z = gate[at];
  @if(HAS_GATE)
  let s = sigmoid4(z);
  @if(HAS_GATE)
  y_gradient *= z * s;
  var y = vec4f();
  var for_input = vec4f();
  @if(HAS_SKIP) {
    y = skip[four] * u;
    for_input = skip[four] * y_gradient;
  }
  var along_b = vec4f(); // sum over states of g * b
  var along_a = vec4f();
  @unroll
  for (var i = 0u; i < STATE_FOURS; i++) {
    let b_now = b[row * STATE_FOURS + i];
    let c_now = c[row * STATE_FOURS + i];
    var for_b = vec4f();
    var for_c = vec4f();
    @unroll
    for (var n = 0u; n < 4u; n++) {
      let decayed = exponential_quad(step * rate[4u * i + n]) * history[slot + 4u * i + n];
      let state = decayed + step * u * b_now[n];
      let after = g[4u * i + n] + c_now[n] * y_gradient;
      y += c_now[n] * state;
      for_c[n] = dot(y_gradient, state);
      for_b[n] = dot(after, step * u);
      along_b += b_now[n] * after;
      along_a += rate[4u * i + n] * after * decayed;
      a_gradient[4u * i + n] += after * step * decayed;
      g[4u * i + n] = exponential_quad(step * rate[4u * i + n]) * after;
    }
    b_parts[at * STATE_FOURS + i] = for_b;
    c_parts[at * STATE_FOURS + i] = for_c;
  }
  input_gradient[at] = for_input + step * along_b;
  var for_delta = along_a + u * along_b;
  if (SOFTPLUS) {
    for_delta *= sigmoid4(raw);
  }
  delta_gradient[at] = for_delta;
  skip_gradient += y_gradient * u;
  bias_gradient += for_delta;
  @if(HAS_GATE_GRADIENT)
  gate_gradient[at] = output_gradient[at] * y * s * (1.0 + z * (1.0 - s));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn selective_scan_in_registers_backward(invocation: Invocation) {
  let chain = number_of(invocation);
  if (chain >= shape.batch * shape.fours) {
    return;
  }
  let four = chain % shape.fours;
  let first = chain / shape.fours * shape.time;
  let first_slot = chain * shape.time * 4u * STATE_FOURS;
  start(chain);
  for (var t = 0u; t < shape.time; t++) {
    @unroll
    for (var n = 0u; n < 4u * STATE_FOURS; n++) {
      history[first_slot + t * 4u * STATE_FOURS + n] = h[n];
    }
    let at = (first + t) * shape.fours + four;
    let step = step_of(delta_at(at));
    advance(first + t, step, step * input[at]);
  }
  start_back(chain);
  for (var t = shape.time; t > 0u; t--) {
    step_back(first + t - 1u, four, first_slot + (t - 1u) * 4u * STATE_FOURS);
  }
  @unroll
  for (var i = 0u; i < STATE_FOURS; i++) {
    let of_a = by_state(
      a_gradient[4u * i],
      a_gradient[4u * i + 1u],
      a_gradient[4u * i + 2u],
      a_gradient[4u * i + 3u],
    );
    @if(HAS_INITIAL_STATE_GRADIENT)
    let states = by_state(g[4u * i], g[4u * i + 1u], g[4u * i + 2u], g[4u * i + 3u]);
    @unroll
    for (var n = 0u; n < 4u; n++) {
      a_parts[(4u * chain + n) * STATE_FOURS + i] = of_a[n];
      @if(HAS_INITIAL_STATE_GRADIENT)
      initial_state_gradient[(4u * chain + n) * STATE_FOURS + i] = states[n];
    }
  }
  skip_parts[chain] = skip_gradient;
  bias_parts[chain] = bias_gradient;
}
