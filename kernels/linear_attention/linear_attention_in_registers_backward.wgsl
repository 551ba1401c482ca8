// Gradients of linear attention token by token, each head's whole state in one invocation's registers. It walks
// forward and notes each decayed state S̃ = exp(g) * S, then back with G, the gradient of the state:
//   G += scale * q doᵀ,  dq = scale * (S̃ do + k (v · do)),  dk = G v,  dv = Gᵀ k
//   dlog_decay = rows of G * S̃ summed,  G *= exp(g)
// Dispatch: one invocation per sequence and head.

import package::common::exponential::exponential_quad;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::linear_attention::whole_state::{
  KEY_VECTORS, VALUE_VECTORS, decay_state, key, log_decay, query, shape, start_state, state, token_at, value,
  write_state,
};

@group(0) @binding(6) var<storage, read> output_gradient: array<vec4f>; // [batch, time, heads, value_vectors]
@if(HAS_FINAL_STATE_GRADIENT)
@group(0) @binding(7) var<storage, read> final_state_gradient: array<vec4f>; // [batch, heads, keys, value_vectors]; else 0
@group(0) @binding(8) var<storage, read_write> history: array<vec4f>; // [batch, heads, time, keys, value_vectors]: S̃
@group(0) @binding(9) var<storage, read_write> query_gradient: array<vec4f>; // [batch, time, heads, key_vectors]
@group(0) @binding(10) var<storage, read_write> key_gradient: array<vec4f>; // [batch, time, heads, key_vectors]
@group(0) @binding(11) var<storage, read_write> value_gradient: array<vec4f>; // [batch, time, heads, value_vectors]
@group(0) @binding(12) var<storage, read_write> log_decay_gradient: array<vec4f>; // [batch, time, heads, key_vectors]
@if(HAS_INITIAL_STATE_GRADIENT)
@group(0) @binding(13) var<storage, read_write> initial_state_gradient: array<vec4f>; // [batch, heads, keys, value_vectors]

var<private> gradient: array<vec4f, 4 * KEY_VECTORS * VALUE_VECTORS>; // G: [keys, value_vectors]

// One token back. `slot` is where its S̃ was noted.
fn step_back(token: u32, slot: u32) {
  var read: array<vec4f, VALUE_VECTORS>; // the output's gradient
  var values: array<vec4f, VALUE_VECTORS>;
  var of_values: array<vec4f, VALUE_VECTORS>;
  var own = 0.0; // v · do
  @unroll
  for (var c = 0u; c < VALUE_VECTORS; c++) {
    read[c] = output_gradient[token * VALUE_VECTORS + c];
    values[c] = value[token * VALUE_VECTORS + c];
    of_values[c] = vec4f();
    own += dot(values[c], read[c]);
  }
  @unroll
  for (var i = 0u; i < KEY_VECTORS; i++) {
    let at_keys = token * KEY_VECTORS + i;
    let q = shape.scale * query[at_keys];
    let k = key[at_keys];
    let decay = exponential_quad(log_decay[at_keys]);
    var of_query = k * own;
    var of_key = vec4f();
    var of_decay = vec4f();
    @unroll
    for (var d = 0u; d < 4u; d++) {
      var found = 0.0;
      var written = 0.0;
      var kept = 0.0;
      @unroll
      for (var c = 0u; c < VALUE_VECTORS; c++) {
        let decayed = history[slot + (4u * i + d) * VALUE_VECTORS + c];
        let after = gradient[(4u * i + d) * VALUE_VECTORS + c] + q[d] * read[c];
        found += dot(decayed, read[c]);
        written += dot(after, values[c]);
        kept += dot(after, decayed);
        of_values[c] += k[d] * after;
        gradient[(4u * i + d) * VALUE_VECTORS + c] = decay[d] * after;
      }
      of_query[d] += found;
      of_key[d] = written;
      of_decay[d] = kept;
    }
    query_gradient[at_keys] = shape.scale * of_query;
    key_gradient[at_keys] = of_key;
    log_decay_gradient[at_keys] = of_decay;
  }
  @unroll
  for (var c = 0u; c < VALUE_VECTORS; c++) {
    value_gradient[token * VALUE_VECTORS + c] = of_values[c];
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn linear_attention_in_registers_backward(invocation: Invocation) {
  let unit = number_of(invocation);
  if (unit >= shape.sequences * shape.heads) {
    return;
  }
  start_state(unit);
  let first_slot = unit * shape.time * 4u * KEY_VECTORS * VALUE_VECTORS;
  for (var t = 0u; t < shape.time; t++) {
    let token = token_at(unit, t);
    decay_state(token);
    @unroll
    for (var at = 0u; at < 4u * KEY_VECTORS * VALUE_VECTORS; at++) {
      history[first_slot + t * 4u * KEY_VECTORS * VALUE_VECTORS + at] = state[at];
    }
    write_state(token);
  }
  @if(HAS_FINAL_STATE_GRADIENT)
  @unroll
  for (var at = 0u; at < 4u * KEY_VECTORS * VALUE_VECTORS; at++) {
    gradient[at] = final_state_gradient[unit * 4u * KEY_VECTORS * VALUE_VECTORS + at];
  }
  for (var t = shape.time; t > 0u; t--) {
    step_back(token_at(unit, t - 1u), first_slot + (t - 1u) * 4u * KEY_VECTORS * VALUE_VECTORS);
  }
  @if(HAS_INITIAL_STATE_GRADIENT)
  @unroll
  for (var at = 0u; at < 4u * KEY_VECTORS * VALUE_VECTORS; at++) {
    initial_state_gradient[unit * 4u * KEY_VECTORS * VALUE_VECTORS + at] = gradient[at];
  }
}
