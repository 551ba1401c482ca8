// Linear attention token by token, each head's whole state in one invocation's registers:
//   state = exp(g) * state + key valueᵀ,  output = scale * query state
// Dispatch: one invocation per sequence and head.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::linear_attention::whole_state::{
  KEY_VECTORS, VALUE_VECTORS, decay_state, query, shape, start_state, state, token_at, write_state,
};

@group(0) @binding(6) var<storage, read_write> output: array<vec4f>; // [batch, time, heads, value_vectors]
@group(0) @binding(7) var<storage, read_write> final_state: array<vec4f>; // [batch, heads, keys, value_vectors]

@compute @workgroup_size(WORKGROUP_SIZE)
fn linear_attention_in_registers(invocation: Invocation) {
  let unit = number_of(invocation);
  if (unit >= shape.sequences * shape.heads) {
    return;
  }
  start_state(unit);
  for (var t = 0u; t < shape.time; t++) {
    let token = token_at(unit, t);
    decay_state(token);
    write_state(token);
    var sums: array<vec4f, VALUE_VECTORS>;
    @unroll
    for (var c = 0u; c < VALUE_VECTORS; c++) {
      sums[c] = vec4f();
    }
    @unroll
    for (var i = 0u; i < KEY_VECTORS; i++) {
      let q = shape.scale * query[token * KEY_VECTORS + i];
      @unroll
      for (var d = 0u; d < 4u; d++) {
        @unroll
        for (var c = 0u; c < VALUE_VECTORS; c++) {
          sums[c] += q[d] * state[(4u * i + d) * VALUE_VECTORS + c];
        }
      }
    }
    @unroll
    for (var c = 0u; c < VALUE_VECTORS; c++) {
      output[token * VALUE_VECTORS + c] = sums[c];
    }
  }
  @unroll
  for (var at = 0u; at < 4u * KEY_VECTORS * VALUE_VECTORS; at++) {
    final_state[unit * 4u * KEY_VECTORS * VALUE_VECTORS + at] = state[at];
  }
}
