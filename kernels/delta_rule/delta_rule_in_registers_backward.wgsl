// Gradients of the delta rule token by token, each head's whole state in one invocation's registers. It walks
// forward and notes each S̃ and residual r, then back with G, the gradient of S':
//   G += scale * q doᵀ,  u = Gᵀ k, the gradient of what is written (beta r)
//   dq = scale * S' do,  dv = beta u,  dbeta = u · r,  dk = G (beta r) - beta S̃ u
//   G -= beta k uᵀ, now of S̃;  dlog_decay = rows of G * S̃ summed;  G *= D, now of the S before
// Dispatch: one invocation per sequence and head.

import package::common::exponential::{exponential, exponential_quad};
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::delta_rule::whole_state::{
  KEY_VECTORS, VALUE_VECTORS, beta, decay_state, key, query, residual, shape, start_state, state, token_at,
  write_state,
};
@if(DECAYED)
import package::delta_rule::whole_state::log_decay;

@group(0) @binding(7) var<storage, read> output_gradient: array<vec4f>; // [batch, time, heads, value_vectors]
@if(HAS_FINAL_STATE_GRADIENT)
@group(0) @binding(8) var<storage, read> final_state_gradient: array<vec4f>; // [batch, heads, keys, value_vectors]; else 0
@group(0) @binding(9) var<storage, read_write> history: array<vec4f>; // [batch, heads, time, keys + 1, value_vectors]: S̃, residual
@group(0) @binding(10) var<storage, read_write> query_gradient: array<vec4f>; // [batch, time, heads, key_vectors]
@group(0) @binding(11) var<storage, read_write> key_gradient: array<vec4f>; // [batch, time, heads, key_vectors]
@group(0) @binding(12) var<storage, read_write> value_gradient: array<vec4f>; // [batch, time, heads, value_vectors]
@group(0) @binding(13) var<storage, read_write> beta_gradient: array<f32>; // [batch, time, heads]
@if(DECAYED && !PER_CHANNEL)
@group(0) @binding(14) var<storage, read_write> log_decay_gradient: array<f32>; // [batch, time, heads]
@if(PER_CHANNEL)
@group(0) @binding(14) var<storage, read_write> log_decay_gradient: array<vec4f>; // [batch, time, heads, key_vectors]
@if(HAS_INITIAL_STATE_GRADIENT)
@group(0) @binding(15) var<storage, read_write> initial_state_gradient: array<vec4f>; // [batch, heads, keys, value_vectors]

var<private> gradient: array<vec4f, 4 * KEY_VECTORS * VALUE_VECTORS>; // G: [keys, value_vectors]

fn note(slot: u32) {
  @unroll
  for (var at = 0u; at < 4u * KEY_VECTORS * VALUE_VECTORS; at++) {
    history[slot + at] = state[at];
  }
  @unroll
  for (var c = 0u; c < VALUE_VECTORS; c++) {
    history[slot + 4u * KEY_VECTORS * VALUE_VECTORS + c] = residual[c];
  }
}

// One token back. `slot` is where its S̃ was noted.
fn step_back(token: u32, slot: u32) {
  let strength = beta[token];
  var read: array<vec4f, VALUE_VECTORS>; // the output's gradient
  var update: array<vec4f, VALUE_VECTORS>; // u
  @unroll
  for (var c = 0u; c < VALUE_VECTORS; c++) {
    read[c] = output_gradient[token * VALUE_VECTORS + c];
    update[c] = vec4f();
  }
  @unroll
  for (var i = 0u; i < KEY_VECTORS; i++) {
    let q = shape.scale * query[token * KEY_VECTORS + i];
    let k = key[token * KEY_VECTORS + i];
    @unroll
    for (var d = 0u; d < 4u; d++) {
      @unroll
      for (var c = 0u; c < VALUE_VECTORS; c++) {
        gradient[(4u * i + d) * VALUE_VECTORS + c] += q[d] * read[c];
        update[c] += k[d] * gradient[(4u * i + d) * VALUE_VECTORS + c];
      }
    }
  }
  var written: array<vec4f, VALUE_VECTORS>; // beta r
  var written_read = 0.0;
  var of_beta = 0.0;
  @unroll
  for (var c = 0u; c < VALUE_VECTORS; c++) {
    let rest = history[slot + 4u * KEY_VECTORS * VALUE_VECTORS + c];
    written[c] = strength * rest;
    written_read += dot(written[c], read[c]);
    of_beta += dot(update[c], rest);
    value_gradient[token * VALUE_VECTORS + c] = strength * update[c];
  }
  beta_gradient[token] = of_beta;
  @if(DECAYED && !PER_CHANNEL)
  let decay = exponential(log_decay[token]);
  var of_decay = vec4f();
  @unroll
  for (var i = 0u; i < KEY_VECTORS; i++) {
    let k = key[token * KEY_VECTORS + i];
    @if(PER_CHANNEL)
    let decays = exponential_quad(log_decay[token * KEY_VECTORS + i]);
    var of_query = k * written_read;
    var of_key = vec4f();
    @unroll
    for (var d = 0u; d < 4u; d++) {
      var found = vec2f(); // S̃ do and S̃ u
      var own = 0.0;
      var changed = 0.0;
      @unroll
      for (var c = 0u; c < VALUE_VECTORS; c++) {
        let before = history[slot + (4u * i + d) * VALUE_VECTORS + c];
        let after = gradient[(4u * i + d) * VALUE_VECTORS + c];
        let rest = after - strength * k[d] * update[c];
        found += vec2f(dot(before, read[c]), dot(before, update[c]));
        own += dot(after, written[c]);
        changed += dot(rest, before);
        gradient[(4u * i + d) * VALUE_VECTORS + c] = rest;
        @if(DECAYED && !PER_CHANNEL)
        gradient[(4u * i + d) * VALUE_VECTORS + c] *= decay;
        @if(PER_CHANNEL)
        gradient[(4u * i + d) * VALUE_VECTORS + c] *= decays[d];
      }
      of_query[d] += found.x;
      of_key[d] = own - strength * found.y;
      of_decay[d] += changed;
    }
    query_gradient[token * KEY_VECTORS + i] = shape.scale * of_query;
    key_gradient[token * KEY_VECTORS + i] = of_key;
    @if(PER_CHANNEL) {
      log_decay_gradient[token * KEY_VECTORS + i] = of_decay;
      of_decay = vec4f();
    }
  }
  @if(DECAYED && !PER_CHANNEL)
  log_decay_gradient[token] = of_decay.x + of_decay.y + of_decay.z + of_decay.w;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_in_registers_backward(invocation: Invocation) {
  let unit = number_of(invocation);
  if (unit >= shape.sequences * shape.heads) {
    return;
  }
  start_state(unit);
  let first_slot = unit * shape.time * (4u * KEY_VECTORS + 1u) * VALUE_VECTORS;
  for (var t = 0u; t < shape.time; t++) {
    let token = token_at(unit, t);
    decay_state(token);
    note(first_slot + t * (4u * KEY_VECTORS + 1u) * VALUE_VECTORS);
    write_state(beta[token]);
  }
  @if(HAS_FINAL_STATE_GRADIENT)
  @unroll
  for (var at = 0u; at < 4u * KEY_VECTORS * VALUE_VECTORS; at++) {
    gradient[at] = final_state_gradient[unit * 4u * KEY_VECTORS * VALUE_VECTORS + at];
  }
  for (var t = shape.time; t > 0u; t--) {
    step_back(token_at(unit, t - 1u), first_slot + (t - 1u) * (4u * KEY_VECTORS + 1u) * VALUE_VECTORS);
  }
  @if(HAS_INITIAL_STATE_GRADIENT)
  @unroll
  for (var at = 0u; at < 4u * KEY_VECTORS * VALUE_VECTORS; at++) {
    initial_state_gradient[unit * 4u * KEY_VECTORS * VALUE_VECTORS + at] = gradient[at];
  }
}
