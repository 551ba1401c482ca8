// One token: state' = exp(g) * state + key valueᵀ, output = scale * query state'.
// With a bonus: output = scale * query (state + (bonus * key) valueᵀ).
// Dispatch: one invocation per batch, head and value; it walks its column of the state.

import package::common::exponential::exponential;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

override PER_KEY: bool = true; // log_decay per key; else per head

@link
alias Element = f32; // or f16: how the caller's rows are stored; all arithmetic is in f32

struct Shape {
  batch: u32,
  heads: u32,
  groups: u32,
  keys: u32,
  values: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> query: array<Element>; // [batch, groups, keys]
@group(0) @binding(2) var<storage, read> key: array<Element>; // [batch, groups, keys]
@group(0) @binding(3) var<storage, read> value: array<Element>; // [batch, heads, values]
@if(HAS_LOG_DECAY)
@group(0) @binding(4) var<storage, read> log_decay: array<f32>; // [batch, heads, (keys)]; else 0
@if(HAS_BONUS)
@group(0) @binding(5) var<storage, read> bonus: array<f32>; // [heads, keys]
@if(HAS_STATE)
@group(0) @binding(6) var<storage, read> state: array<f32>; // [batch, heads, keys, values]; else final_state holds it
@group(0) @binding(7) var<storage, read_write> output: array<Element>; // [batch, heads, values]
@group(0) @binding(8) var<storage, read_write> final_state: array<f32>; // [batch, heads, keys, values]

@compute @workgroup_size(WORKGROUP_SIZE)
fn linear_attention_step(invocation: Invocation) {
  let index = number_of(invocation);
  let column = index % shape.values;
  let head = index / shape.values % shape.heads;
  let batch = index / (shape.values * shape.heads);
  if (batch >= shape.batch) {
    return;
  }
  let matrix = batch * shape.heads + head;
  let row = (batch * shape.groups + head / (shape.heads / shape.groups)) * shape.keys;
  let v = f32(value[index]);
  var decay = 1.0;
  @if(HAS_LOG_DECAY)
  if (!PER_KEY) {
    decay = exponential(log_decay[matrix]);
  }
  var sum = 0.0;
  for (var k = 0u; k < shape.keys; k++) {
    @if(HAS_LOG_DECAY)
    if (PER_KEY) {
      decay = exponential(log_decay[matrix * shape.keys + k]);
    }
    let cell = (matrix * shape.keys + k) * shape.values + column;
    @if(HAS_STATE)
    let before = state[cell];
    @else
    let before = final_state[cell];
    let update = f32(key[row + k]) * v;
    let after = decay * before + update;
    final_state[cell] = after;
    @if(HAS_BONUS)
    sum += f32(query[row + k]) * (before + bonus[head * shape.keys + k] * update);
    @else
    sum += f32(query[row + k]) * after;
  }
  output[index] = Element(shape.scale * sum);
}
