// A head of a sequence whose whole state an invocation holds in registers, with a decay for each key:
//   state = exp(g) * state + key valueᵀ

import package::common::exponential::exponential_quad;

@link
const KEY_VECTORS: u32 = 4u; // of four numbers each, in a row of keys
@link
const VALUE_VECTORS: u32 = 4u;

struct Shape {
  sequences: u32,
  time: u32,
  heads: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> query: array<vec4f>; // [batch, time, heads, key_vectors]
@group(0) @binding(2) var<storage, read> key: array<vec4f>; // [batch, time, heads, key_vectors]
@group(0) @binding(3) var<storage, read> value: array<vec4f>; // [batch, time, heads, value_vectors]
@group(0) @binding(4) var<storage, read> log_decay: array<vec4f>; // [batch, time, heads, key_vectors]
@if(HAS_INITIAL_STATE)
@group(0) @binding(5) var<storage, read> initial_state: array<vec4f>; // [batch, heads, keys, value_vectors]; else 0

var<private> state: array<vec4f, 4 * KEY_VECTORS * VALUE_VECTORS>; // [keys, value_vectors]

// A token's number in [batch, time, heads], by that of its head in [batch, heads].
fn token_at(unit: u32, t: u32) -> u32 {
  return (unit / shape.heads * shape.time + t) * shape.heads + unit % shape.heads;
}

fn start_state(unit: u32) {
  @if(HAS_INITIAL_STATE)
  @unroll
  for (var at = 0u; at < 4u * KEY_VECTORS * VALUE_VECTORS; at++) {
    state[at] = initial_state[unit * 4u * KEY_VECTORS * VALUE_VECTORS + at];
  }
}

fn decay_state(token: u32) {
  @unroll
  for (var i = 0u; i < KEY_VECTORS; i++) {
    let decay = exponential_quad(log_decay[token * KEY_VECTORS + i]);
    @unroll
    for (var d = 0u; d < 4u; d++) {
      @unroll
      for (var c = 0u; c < VALUE_VECTORS; c++) {
        state[(4u * i + d) * VALUE_VECTORS + c] *= decay[d];
      }
    }
  }
}

fn write_state(token: u32) {
  var values: array<vec4f, VALUE_VECTORS>;
  @unroll
  for (var c = 0u; c < VALUE_VECTORS; c++) {
    values[c] = value[token * VALUE_VECTORS + c];
  }
  @unroll
  for (var i = 0u; i < KEY_VECTORS; i++) {
    let k = key[token * KEY_VECTORS + i];
    @unroll
    for (var d = 0u; d < 4u; d++) {
      @unroll
      for (var c = 0u; c < VALUE_VECTORS; c++) {
        state[(4u * i + d) * VALUE_VECTORS + c] += k[d] * values[c];
      }
    }
  }
}
