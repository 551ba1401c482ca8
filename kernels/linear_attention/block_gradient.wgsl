// What the tokens of a block of 8 do to each other's gradients, and the decay to the borders of the
// block; the gradients hold what comes from outside it. With E_ij = exp(sum of g from j + 1 to i) and
// B_ij = SCALE * output_gradient_i · value_j, for j ≤ i in the block and each key alone:
//   query_gradient_i = exp(sum of g from the block's start to i) * query_gradient_i + sum_j B_ij E_ij key_j
//   key_gradient_j = exp(sum of g after j) * key_gradient_j + sum_i B_ij E_ij query_i
//   log_decay_gradient_t += sum of the parts of query_i * query_gradient_i from before the block, i ≥ t
//                         + sum of the parts of key_j * key_gradient_j from after the block, j < t
//                         + sum of query_i B_ij E_ij key_j for j < t ≤ i
// With BONUS an output reads the state before its token's update: E stops before i, j < i, t < i.
// Nothing is subtracted. j walks back, E_ij of all rows i with it.
// Dispatch: one invocation per chunk, block, head and 4 keys.

import package::common::exponential::exponential_quad;
import package::linear_attention::tile::{BLOCK, HIGH, LOW, Row, by_key, by_token, products};

override WORKGROUP_SIZE: u32 = 64u;
override PER_KEY: bool = true; // log_decay per key; else per head
override BONUS: bool = false;

@link
alias Element = f32; // or f16: how the caller's rows are stored; all arithmetic is in f32

struct Shape {
  chunks: u32,
  heads: u32,
  groups: u32,
  key_vectors: u32,
  blocks: u32, // in a chunk
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec2u>; // [chunks]: first row, end
@group(0) @binding(2) var<storage, read> query: array<vec4<Element>>; // [rows, groups, key_vectors]
@group(0) @binding(3) var<storage, read> key: array<vec4<Element>>; // [rows, groups, key_vectors]
@group(0) @binding(4) var<storage, read> log_decay: array<vec4f>; // [rows, heads, (keys)]
@group(0) @binding(5) var<storage, read> scores: array<vec4f>; // [2, chunks, heads, 8 * blocks, 2 * blocks]
@group(0) @binding(6) var<storage, read_write> query_gradient: array<vec4f>; // [rows, heads, key_vectors]
@group(0) @binding(7) var<storage, read_write> key_gradient: array<vec4f>; // [rows, heads, key_vectors]
@group(0) @binding(8) var<storage, read_write> log_decay_gradient: array<vec4f>; // [rows, heads, key_vectors]

// What the block's tokens have of one key dimension.
struct Dimension {
  query: Row,
  decay: Row, // E_ij of the tokens i
  query_gradient: Row,
  log_decay_gradient: Row,
  after: f32, // exp(sum of g after j)
  key_gradient: f32, // of j
}

// The tokens from `first` on have x, those before it y.
fn from_token(first: u32, x: Row, y: Row) -> Row {
  return Row(
    select(y[0], x[0], LOW >= vec4u(first)),
    select(y[1], x[1], HIGH >= vec4u(first)),
  );
}

// Adds to the decay's gradient of tokens t the terms of tokens i ≥ t, or i > t with BONUS.
fn add_suffix_sums(dimension: Dimension, terms: Row, from_t: u32) -> Dimension {
  var out = dimension;
  var sums = Row();
  var sum = 0.0;
  @unroll
  for (var n = 0u; n < BLOCK; n++) {
    const i = BLOCK - 1u - n; // from the last
    if (BONUS) {
      sums[i / 4u][i % 4u] = sum;
    }
    sum += terms[i / 4u][i % 4u];
    if (!BONUS) {
      sums[i / 4u][i % 4u] = sum;
    }
  }
  out.log_decay_gradient += from_token(from_t, sums, Row());
  return out;
}

// Token j: its key, decay, gradient from after the block, and column of B.
fn add_token(dimension: Dimension, j: u32, key_j: f32, decay: f32, outside: f32, b: Row) -> Dimension {
  var out = dimension;
  let read = products(b, dimension.decay);
  out.query_gradient += read * key_j;
  let pairs = products(read, dimension.query);
  let from_outside = outside * dimension.after;
  out.key_gradient = from_outside + dot(pairs[0] + pairs[1], vec4f(1.0));
  out = add_suffix_sums(out, pairs * key_j, j + 1u);
  let carried = vec4f(from_outside * key_j);
  out.log_decay_gradient += from_token(j + 1u, Row(carried, carried), Row());
  out.decay = from_token(select(j, j + 1u, BONUS), out.decay * decay, out.decay);
  out.after *= decay;
  return out;
}

// The query's gradient from before the block: decayed to each token.
fn finish(dimension: Dimension, outside: Row) -> Dimension {
  var out = dimension;
  let from_outside = products(outside, dimension.decay);
  out.query_gradient += from_outside;
  return add_suffix_sums(out, products(from_outside, dimension.query), 0u);
}

fn log_decay_at(row: u32, head: u32, vector: u32) -> vec4f {
  let index = row * shape.heads + head;
  if (PER_KEY) {
    return log_decay[index * shape.key_vectors + vector];
  }
  return vec4f(log_decay[index / 4u][index % 4u]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn block_gradient(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local.x;
  let vector = index % shape.key_vectors;
  let head = index / shape.key_vectors % shape.heads;
  let block = index / (shape.key_vectors * shape.heads) % shape.blocks;
  let chunk = index / (shape.key_vectors * shape.heads * shape.blocks);
  if (chunk >= shape.chunks) {
    return;
  }
  let rows = chunks[chunk];
  let first = rows.x + block * BLOCK;
  if (first >= rows.y) {
    return;
  }
  let count = min(BLOCK, rows.y - first);
  let last = rows.y - 1u;
  let group = head / (shape.heads / shape.groups);
  let stride = shape.heads * shape.key_vectors;
  let base = first * stride + head * shape.key_vectors + vector;
  var queries: array<vec4f, BLOCK>;
  @unroll
  for (var i = 0u; i < BLOCK; i++) {
    let row = min(first + i, last);
    let token = vec4f(query[(row * shape.groups + group) * shape.key_vectors + vector]);
    queries[i] = select(vec4f(), token, i < count);
  }
  let query_by_key = by_key(queries);
  let ones = Row(vec4f(1.0), vec4f(1.0));
  var dimensions: array<Dimension, 4>;
  @unroll
  for (var k = 0u; k < 4u; k++) {
    dimensions[k] = Dimension(query_by_key[k], ones, Row(), Row(), 1.0, 0.0);
  }

  let line_vectors = shape.blocks * 2u;
  let column = (((shape.chunks + chunk) * shape.heads + head) * shape.blocks + block) * 8u *
    line_vectors + block * 2u;
  for (var step = 0u; step < count; step++) {
    let j = count - 1u - step;
    let row = first + j;
    let key_j = vec4f(key[(row * shape.groups + group) * shape.key_vectors + vector]);
    let decay = exponential_quad(log_decay_at(row, head, vector));
    let slot = base + j * stride;
    let outside = key_gradient[slot];
    let at = column + j * line_vectors;
    var b = Row(scores[at], scores[at + 1u]);
    if (BONUS) {
      b = Row(
        select(b[0], vec4f(), LOW == vec4u(j)),
        select(b[1], vec4f(), HIGH == vec4u(j)),
      );
    }
    @unroll
    for (var k = 0u; k < 4u; k++) {
      dimensions[k] = add_token(dimensions[k], j, key_j[k], decay[k], outside[k], b);
    }
    key_gradient[slot] = vec4f(
      dimensions[0].key_gradient,
      dimensions[1].key_gradient,
      dimensions[2].key_gradient,
      dimensions[3].key_gradient,
    );
  }

  var outside: array<vec4f, BLOCK>;
  @unroll
  for (var i = 0u; i < BLOCK; i++) {
    outside[i] = query_gradient[base + min(i, count - 1u) * stride];
  }
  let outside_by_key = by_key(outside);
  var query_gradients: array<Row, 4>;
  var log_decay_gradients: array<Row, 4>;
  @unroll
  for (var k = 0u; k < 4u; k++) {
    let finished = finish(dimensions[k], outside_by_key[k]);
    query_gradients[k] = finished.query_gradient;
    log_decay_gradients[k] = finished.log_decay_gradient;
  }
  let query_by_token = by_token(query_gradients);
  let log_decay_by_token = by_token(log_decay_gradients);
  @unroll
  for (var i = 0u; i < BLOCK; i++) {
    if (i < count) {
      let slot = base + i * stride;
      query_gradient[slot] = query_by_token[i];
      log_decay_gradient[slot] += log_decay_by_token[i];
    }
  }
}
