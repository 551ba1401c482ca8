// One token of a cache of keys and values: query and key turn as in rotary, and the key and the value go
// to the row of their position; in a cache with a window, to the ring behind its sinks.
// Dispatch: one invocation per pair, or copied element, of each head, folded past 65,535 workgroups: first
// the queries and the keys of all sequences, then the values.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::position::turn::turn_at;

struct Shape {
  batch: u32,
  heads: u32,
  key_heads: u32,
  dim: u32,
  value_dim: u32,
  rows: u32, // of the cache
  sinks: u32,
  pairs: u32, // 2 * pairs <= dim; the rest is copied
}

@group(0) @binding(0) var<uniform> shape: Shape;
@if(HAS_QUERY)
@group(0) @binding(1) var<storage, read> query: array<f32>; // [batch, 1, heads, dim]
@group(0) @binding(2) var<storage, read> key: array<f32>; // [batch, 1, key_heads, dim]
@group(0) @binding(3) var<storage, read> value: array<f32>; // [batch, 1, key_heads, value_dim]
@if(HAS_FREQUENCIES)
@group(0) @binding(4) var<storage, read> frequencies: array<vec2u>; // [pairs]: high and low word
@group(0) @binding(5) var<storage, read> position: array<u32>; // [1]
@if(HAS_QUERY)
@group(0) @binding(6) var<storage, read_write> output: array<f32>; // [batch, 1, heads, dim]: queries that turned
@group(0) @binding(7) var<storage, read_write> key_cache: array<f32>; // [batch, rows, key_heads, dim]
@group(0) @binding(8) var<storage, read_write> value_cache: array<f32>; // [batch, rows, key_heads, value_dim]

// Where a sequence's heads begin in its row of a cache. A cache without a window is never full.
fn cache_start(batch: u32, dim: u32) -> u32 {
  let ring = max(1u, shape.rows - shape.sinks);
  let at = position[0];
  let row = select(shape.sinks + (at - shape.sinks) % ring, at, at < shape.rows);
  return (batch * shape.rows + row) * shape.key_heads * dim;
}

fn turned(u: f32, v: f32, pair: u32) -> vec2f {
  @if(HAS_FREQUENCIES) {
    let cos_sin = turn_at(position[0], frequencies[pair]);
    return vec2f(u * cos_sin.x - v * cos_sin.y, u * cos_sin.y + v * cos_sin.x);
  }
  @else
  return vec2f(u, v);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn rotary_append(invocation: Invocation) {
  let index = number_of(invocation);
  let slots = shape.dim - shape.pairs;
  var queries = 0u;
  @if(HAS_QUERY)
  queries = shape.heads;
  let turning = shape.batch * (queries + shape.key_heads) * slots;
  if (index >= turning) {
    let element = index - turning;
    let row = shape.key_heads * shape.value_dim;
    if (element < shape.batch * row) {
      value_cache[cache_start(element / row, shape.value_dim) + element % row] = value[element];
    }
    return;
  }
  let slot = index % slots;
  let head = index / slots % (queries + shape.key_heads);
  let batch = index / slots / (queries + shape.key_heads);
  let turns = slot < shape.pairs;
  let first = select(shape.pairs + slot, slot, turns);
  let second = select(first, slot + shape.pairs, turns);
  @if(HAS_QUERY) {
    if (head < queries) {
      let start = (batch * queries + head) * shape.dim;
      let pair = turned(query[start + first], query[start + second], min(slot, shape.pairs - 1u));
      output[start + first] = select(query[start + first], pair.x, turns);
      if (turns) {
        output[start + second] = pair.y;
      }
      return;
    }
  }
  let key_head = head - queries;
  let start = (batch * shape.key_heads + key_head) * shape.dim;
  let row = cache_start(batch, shape.dim) + key_head * shape.dim;
  let pair = turned(key[start + first], key[start + second], min(slot, max(1u, shape.pairs) - 1u));
  key_cache[row + first] = select(key[start + first], pair.x, turns);
  if (turns) {
    key_cache[row + second] = pair.y;
  }
}
