// The gradients of the selective scan inside each chunk of at most CHUNK steps. First forwards from the
// state that enters it, keeping each step's state before; then backwards, with g the gradient of h:
//   g += c * y_gradient,  y = sum over states of c * h,
//   input_gradient = delta * sum over states of g * b,
//   delta_gradient = sum over states of g * (a * exp(delta * a) * h[t - 1] + input * b),
//   a_gradient = sum over t of g * delta * exp(delta * a) * h[t - 1],  g *= exp(delta * a).
// In place of step comes (delta_gradient, input_gradient, y, y_gradient), in place of carry the chunk's
// a_gradient, and in place of gradient_carry the gradient of the state that enters the chunk.
// Sixteen states in registers. Dispatch: ceil(channels / LANES) by chunks by batch workgroups, folded.

import package::common::exponential::exponential_quad;
import package::common::folded::{ceil_divide, unfold};
import package::scan::states::{FOURS, existing, fetch_a, fetch_b, fetch_c, shape, states};

override LANES: u32 = 64u;

const CHUNK = 16u;

@group(0) @binding(4) var<storage, read_write> step: array<vec4f>; // [batch, time, channels]: delta, input, y_gradient
@group(0) @binding(5) var<storage, read_write> carry: array<f32>; // [chunks, batch, channels, state]
@group(0) @binding(6) var<storage, read_write> gradient_carry: array<f32>; // [chunks, batch, channels, state]

fn fetch_carry(row: u32, four: u32) -> vec4f {
  let at = row * shape.state + states(four);
  return existing(four, vec4f(carry[at.x], carry[at.y], carry[at.z], carry[at.w]));
}

fn fetch_gradient_carry(row: u32, four: u32) -> vec4f {
  let at = row * shape.state + states(four);
  return existing(four, vec4f(gradient_carry[at.x], gradient_carry[at.y], gradient_carry[at.z], gradient_carry[at.w]));
}

// Writes those of a vector's states that exist.
fn store_carry(row: u32, four: u32, value: vec4f) {
  let state = states(four);
  @unroll
  for (var i = 0u; i < 4u; i++) {
    if (state[i] < shape.state) {
      carry[row * shape.state + state[i]] = value[i];
    }
  }
}

// Writes those of a vector's states that exist.
fn store_gradient_carry(row: u32, four: u32, value: vec4f) {
  let state = states(four);
  @unroll
  for (var i = 0u; i < 4u; i++) {
    if (state[i] < shape.state) {
      gradient_carry[row * shape.state + state[i]] = value[i];
    }
  }
}

@compute @workgroup_size(LANES)
fn selective_scan_backward(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let width = ceil_divide(shape.channels, LANES);
  let place = unfold(workgroup, workgroups, width, shape.chunks);
  let channel = place.x * LANES + local;
  if (channel >= shape.channels || place.z >= shape.batch) {
    return;
  }
  let batch = place.z;
  let first = place.y * CHUNK;
  let steps = min(CHUNK, shape.time - first);
  let entering = (place.y * shape.batch + batch) * shape.channels + channel;
  var rate: array<vec4f, FOURS>;
  var h: array<vec4f, FOURS>;
  var g: array<vec4f, FOURS>;
  var a_gradient: array<vec4f, FOURS>;
  @unroll
  for (var i = 0u; i < FOURS; i++) {
    rate[i] = fetch_a(channel, i);
    h[i] = fetch_carry(entering, i);
    g[i] = fetch_gradient_carry(entering, i);
    a_gradient[i] = vec4f(0.0);
  }

  var before: array<vec4f, CHUNK * FOURS>; // the states before each step
  for (var t = 0u; t < steps; t++) {
    let row = batch * shape.time + first + t;
    let now = step[row * shape.channels + channel];
    @unroll
    for (var i = 0u; i < FOURS; i++) {
      before[t * FOURS + i] = h[i];
      h[i] = exponential_quad(now.x * rate[i]) * h[i] + now.x * now.y * fetch_b(row, i);
    }
  }

  for (var behind = 0u; behind < steps; behind++) {
    let t = steps - 1u - behind;
    let row = batch * shape.time + first + t;
    let at = row * shape.channels + channel;
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
    step[at] = vec4f(along_a + now.y * along_b, now.x * along_b, y, now.w);
  }
  @unroll
  for (var i = 0u; i < FOURS; i++) {
    store_carry(entering, i, a_gradient[i]);
    store_gradient_carry(entering, i, g[i]);
  }
}
