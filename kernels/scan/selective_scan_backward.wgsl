// The gradients of the selective scan inside each chunk of at most MOST_STEPS steps. First forwards from the
// state that enters it, keeping each step's state before; then backwards, with g the gradient of h:
//   g += c * y_gradient,  y = sum over states of c * h,
//   input_gradient = delta * sum over states of g * b,
//   delta_gradient = sum over states of g * (a * exp(delta * a) * h[t - 1] + input * b),
//   a_gradient = sum over t of g * delta * exp(delta * a) * h[t - 1],  g *= exp(delta * a).
// What each buffer is read as is not needed any more where it is written: a step is left as its gradient
// (delta_gradient, input_gradient, y, y_gradient), and the state that enters a chunk as its a_gradient.
// STATES states in registers. Dispatch: ceil(channels / WORKGROUP_SIZE) by chunks by batch workgroups, folded.

import package::common::exponential::exponential_quad;
import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::scan::chains::chain_of;
import package::scan::states::{FOURS, STATES, existing, fetch_a, fetch_b, fetch_c, shape, states};

@link
const MOST_STEPS: u32 = 16u; // of a chunk

@group(0) @binding(4) var<storage, read_write> step: array<vec4f>; // [batch, time, channels]: delta, input, y_gradient twice
@group(0) @binding(5) var<storage, read_write> carry: array<f32>; // [chunks, batch, channels, state]
@group(0) @binding(6) var<storage, read> gradient_carry: array<f32>; // [chunks, batch, channels, state]
@if(HAS_INITIAL_STATE_GRADIENT)
@group(0) @binding(7) var<storage, read_write> initial_state_gradient: array<f32>; // [batch, channels, state]

fn fetch_carry(row: u32, four: u32) -> vec4f {
  let at = row * shape.state + states(four);
  return existing(four, vec4f(carry[at.x], carry[at.y], carry[at.z], carry[at.w]));
}

fn fetch_gradient_carry(row: u32, four: u32) -> vec4f {
  let at = row * shape.state + states(four);
  return existing(four, vec4f(gradient_carry[at.x], gradient_carry[at.y], gradient_carry[at.z], gradient_carry[at.w]));
}

// In place of the step.
fn store_step_gradient(at: u32, delta_gradient: f32, input_gradient: f32, y: f32, y_gradient: f32) {
  step[at] = vec4f(delta_gradient, input_gradient, y, y_gradient);
}

// In place of the state that enters the chunk.
fn store_a_gradient(at: u32, a_gradient: f32) {
  carry[at] = a_gradient;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn selective_scan_backward(invocation: Invocation) {
  let chain = chain_of(invocation);
  if (chain.batch >= shape.batch) {
    return;
  }
  var rate: array<vec4f, FOURS>;
  var h: array<vec4f, FOURS>;
  var g: array<vec4f, FOURS>;
  var a_gradient: array<vec4f, FOURS>;
  @unroll
  for (var i = 0u; i < FOURS; i++) {
    rate[i] = fetch_a(chain.channel, i);
    h[i] = fetch_carry(chain.place, i);
    g[i] = fetch_gradient_carry(chain.place, i);
    a_gradient[i] = vec4f(0.0);
  }

  let steps = chain.end - chain.begin;
  var before: array<vec4f, MOST_STEPS * FOURS>; // the states before each step
  for (var t = 0u; t < steps; t++) {
    let row = chain.begin + t;
    let now = step[row * shape.channels + chain.channel];
    @unroll
    for (var i = 0u; i < FOURS; i++) {
      before[t * FOURS + i] = h[i];
      h[i] = exponential_quad(now.x * rate[i]) * h[i] + now.x * now.y * fetch_b(row, i);
    }
  }

  for (var behind = 0u; behind < steps; behind++) {
    let t = steps - 1u - behind;
    let row = chain.begin + t;
    let at = row * shape.channels + chain.channel;
    let now = step[at];
    var y = 0.0;
    var along_b = 0.0;
    var along_a = 0.0;
    @unroll
    for (var i = 0u; i < FOURS; i++) {
      let c_now = fetch_c(row, i);
      g[i] += c_now * now.z;
      y += dot(c_now, h[i]);
      along_b += dot(g[i], fetch_b(row, i));
      h[i] = before[t * FOURS + i];
      g[i] *= exponential_quad(now.x * rate[i]);
      let decay_gradient = g[i] * h[i];
      along_a += dot(decay_gradient, rate[i]);
      a_gradient[i] += decay_gradient * now.x;
    }
    store_step_gradient(at, along_a + now.y * along_b, now.x * along_b, y, now.w);
  }
  @unroll
  for (var n = 0u; n < STATES; n++) {
    let state = shape.first_state + n;
    if (state < shape.state) {
      store_a_gradient(chain.place * shape.state + state, a_gradient[n / 4u][n % 4u]);
      @if(HAS_INITIAL_STATE_GRADIENT)
      if (chain.chunk == 0u) { // whose place is that in [batch, channels]
        initial_state_gradient[chain.place * shape.state + state] = g[n / 4u][n % 4u];
      }
    }
  }
}
