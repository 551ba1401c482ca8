// Token by token, with S the state and D its decay:
//   delta rule: S̃ = D * S, S' = S̃ + k (beta (v - kᵀ S̃))ᵀ
//   with LOW_RANK: S' = D * S + b (aᵀ S) + k vᵀ
//   o = scale * qᵀ S'
// with UNIT, q and k are divided by their lengths first: q * inverseSqrt(qᵀ q + unit_epsilon).
// Dispatch: x = sequences, y = heads, z = groups of invocations, one per column of the state.

import package::common::exponential::exponential;
import package::common::invocations::{Invocation, WORKGROUP_SIZE};

struct Shape {
  first_sequence: u32, // this dispatch's first
  time: u32,
  begin: u32, // this dispatch walks from begin to end
  end: u32,
  heads: u32,
  key_heads: u32,
  key_dim: u32,
  value_dim: u32,
  scale: f32,
  unit_epsilon: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> query: array<f32>; // [batch, time, key_heads, key_dim]
@group(0) @binding(2) var<storage, read> key: array<f32>; // [batch, time, key_heads, key_dim]
@group(0) @binding(3) var<storage, read> value: array<f32>; // [batch, time, heads, value_dim]
@if(!LOW_RANK) @group(0) @binding(4) var<storage, read> beta: array<f32>; // [batch, time, heads]
@if(LOW_RANK) @group(0) @binding(4) var<storage, read> a: array<f32>; // [batch, time, heads, key_dim]
@if(LOW_RANK) @group(0) @binding(5) var<storage, read> b: array<f32>; // [batch, time, heads, key_dim]
@if(DECAYED) @group(0) @binding(6) var<storage, read> log_decay: array<f32>; // [batch, time, heads(, key_dim)]
@group(0) @binding(7) var<storage, read_write> output: array<f32>; // [batch, time, heads, value_dim]
@group(0) @binding(8) var<storage, read_write> state: array<f32>; // [batch, heads, key_dim, value_dim]

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_recurrent(invocation: Invocation) {
  let column = invocation.workgroup.z * WORKGROUP_SIZE + invocation.local;
  if (column >= shape.value_dim) {
    return;
  }
  let sequence = shape.first_sequence + invocation.workgroup.x;
  let head = invocation.workgroup.y;
  let s = (sequence * shape.heads + head) * shape.key_dim * shape.value_dim + column;
  for (var t = shape.begin; t < shape.end; t++) {
    let row = sequence * shape.time + t;
    let entry = row * shape.heads + head;
    let k = (row * shape.key_heads + head / (shape.heads / shape.key_heads)) * shape.key_dim;
    let v = value[entry * shape.value_dim + column];
    var lengths = vec2f(1.0); // one over those of query and key
    @if(UNIT) {
      var squares = vec2f();
      for (var d = 0u; d < shape.key_dim; d++) {
        let both = vec2f(query[k + d], key[k + d]);
        squares += both * both;
      }
      lengths = inverseSqrt(squares + shape.unit_epsilon);
    }
    var seen = 0.0;
    @if(DECAYED && !PER_CHANNEL) let decay = exponential(log_decay[entry]);
    for (var d = 0u; d < shape.key_dim; d++) {
      @if(LOW_RANK) seen += a[k + d] * state[s + d * shape.value_dim];
      @if(!LOW_RANK) {
        var decayed = state[s + d * shape.value_dim];
        @if(PER_CHANNEL) let decay = exponential(log_decay[entry * shape.key_dim + d]);
        @if(DECAYED) decayed *= decay;
        @if(DECAYED) state[s + d * shape.value_dim] = decayed;
        seen += key[k + d] * decayed;
      }
    }
    @if(!LOW_RANK) let update = beta[entry] * (v - lengths.y * seen) * lengths.y;
    var sum = 0.0;
    for (var d = 0u; d < shape.key_dim; d++) {
      let before = state[s + d * shape.value_dim];
      @if(LOW_RANK) let after = exponential(log_decay[k + d]) * before + b[k + d] * seen + key[k + d] * v;
      @else let after = before + key[k + d] * update;
      state[s + d * shape.value_dim] = after;
      sum += query[k + d] * after;
    }
    output[entry * shape.value_dim + column] = shape.scale * lengths.x * sum;
  }
}
