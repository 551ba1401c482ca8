// Token by token: state = exp(g) * state + key valueᵀ, output = scale * query state; with a bonus
// output = scale * query (state before the token + (bonus * key) valueᵀ).
// Dispatch: one invocation per sequence, head, value and tile of 4 * VECTORS keys. It walks the whole
// sequence with its column of the state in registers. With more than one tile, their outputs are
// summed afterwards.

import package::common::exponential::{exponential, exponential_quad};
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

@link
const VECTORS: u32 = 16u; // 4, 8, 12 or 16
override PER_KEY: bool = true; // log_decay per key; else per head

@link
alias Element = f32; // or f16: how the caller's rows are stored; all arithmetic is in f32

struct Shape {
  sequences: u32,
  heads: u32,
  groups: u32,
  key_vectors: u32,
  values: u32,
  tiles: u32,
  rows: u32,
  has_initial: u32, // 0 or 1
  scale: f32,
  first: u32, // of the tokens of a sequence that this dispatch walks
  last: u32, // one past them
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> bounds: array<u32>; // [sequences + 1]: first rows
@group(0) @binding(2) var<storage, read> query: array<vec4<Element>>; // [rows, groups, key_vectors]
@group(0) @binding(3) var<storage, read> key: array<vec4<Element>>; // [rows, groups, key_vectors]
@group(0) @binding(4) var<storage, read> value: array<Element>; // [rows, heads, values]
@if(HAS_LOG_DECAY)
@group(0) @binding(5) var<storage, read> log_decay: array<vec4f>; // [rows, heads, (keys)]; else 0
@if(HAS_BONUS)
@group(0) @binding(6) var<storage, read> bonus: array<vec4f>; // [heads, key_vectors]
@group(0) @binding(7) var<storage, read_write> partial: array<f32>; // [tiles, rows, heads, values]
@group(0) @binding(8) var<storage, read_write> state: array<f32>; // [sequences, heads, keys, values]: initial, then final

// The token at hand, as the four functions below see it.
var<private> query_at: u32;
var<private> decay_at: u32;
var<private> bonus_at: u32;
var<private> last_vector: u32;
var<private> head_decay: f32;
var<private> v: f32;
var<private> sum: f32;

// Four keys of the column: the state after the token. Vectors past the last count as 0.
fn advance(before: vec4f, vector: u32) -> vec4f {
  let at = min(vector, last_vector);
  let update = select(vec4f(), vec4f(key[query_at + at]) * v, vector <= last_vector);
  var decay = vec4f(head_decay);
  @if(HAS_LOG_DECAY)
  if (PER_KEY) {
    decay = exponential_quad(log_decay[decay_at + at]);
  }
  let after = decay * before + update;
  @if(HAS_BONUS)
  sum += dot(vec4f(query[query_at + at]), before + bonus[bonus_at + at] * update);
  @else
  sum += dot(vec4f(query[query_at + at]), after);
  return after;
}

fn load(cell: u32, vector: u32) -> vec4f {
  if (shape.has_initial == 0u || vector > last_vector) {
    return vec4f();
  }
  let at = cell + vector * 4u * shape.values;
  return vec4f(
    state[at],
    state[at + shape.values],
    state[at + 2u * shape.values],
    state[at + 3u * shape.values],
  );
}

fn store(cell: u32, vector: u32, column: vec4f) {
  if (vector <= last_vector) {
    let at = cell + vector * 4u * shape.values;
    state[at] = column.x;
    state[at + shape.values] = column.y;
    state[at + 2u * shape.values] = column.z;
    state[at + 3u * shape.values] = column.w;
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn linear_attention_recurrent(invocation: Invocation) {
  let index = number_of(invocation);
  let column = index % shape.values;
  let tile = index / shape.values % shape.tiles;
  let head = index / (shape.values * shape.tiles) % shape.heads;
  let sequence = index / (shape.values * shape.tiles * shape.heads);
  if (sequence >= shape.sequences) {
    return;
  }
  let group = head / (shape.heads / shape.groups);
  last_vector = shape.key_vectors - 1u;
  bonus_at = head * shape.key_vectors;
  let first = tile * VECTORS;
  let cell = (sequence * shape.heads + head) * shape.key_vectors * 4u * shape.values + column;
  var s: array<vec4f, VECTORS>;
  @unroll
  for (var i = 0u; i < VECTORS; i++) {
    s[i] = load(cell, first + i);
  }
  let begin = bounds[sequence];
  let end = min(begin + shape.last, bounds[sequence + 1u]);
  head_decay = 1.0;
  for (var row = begin + shape.first; row < end; row++) {
    let token = row * shape.heads + head;
    query_at = (row * shape.groups + group) * shape.key_vectors;
    decay_at = token * shape.key_vectors;
    v = f32(value[token * shape.values + column]);
    @if(HAS_LOG_DECAY)
    if (!PER_KEY) {
      head_decay = exponential(log_decay[token / 4u][token % 4u]);
    }
    sum = 0.0;
    @unroll
    for (var i = 0u; i < VECTORS; i++) {
      s[i] = advance(s[i], first + i);
    }
    partial[(tile * shape.rows * shape.heads + token) * shape.values + column] =
      shape.scale * sum;
  }
  @unroll
  for (var i = 0u; i < VECTORS; i++) {
    store(cell, first + i, s[i]);
  }
}
