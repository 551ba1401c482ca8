// Scores inside a block of 8 tokens with decay:
//   score_ij = scale * sum over k of query_ik * key_jk * exp(sum of g from j + 1 to i), for j ≤ i.
// j walks back; row i's query carries the product of the decays from j + 1 to i, each ≤ 1.
// With a bonus the output reads the state before the token's update: the decays stop before i, and
// score_ii = scale * sum over k of query_ik * bonus_k * key_ik.
// Dispatch: one invocation per chunk, block and head.

import package::common::exponential::{exponential, exponential_quad};
import package::linear_attention::tile::{BLOCK, HIGH, LOW, Row, by_key, products};

override WORKGROUP_SIZE: u32 = 64u;
override PER_KEY: bool = true; // log_decay per key; else per head

@link
alias Element = f32; // or f16: how the caller's rows are stored; all arithmetic is in f32

struct Shape {
  chunks: u32,
  heads: u32,
  groups: u32,
  key_vectors: u32,
  blocks: u32, // in a chunk
  transposed: u32, // 0 or 1
  scale: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec2u>; // [chunks]: first row, end
@group(0) @binding(2) var<storage, read> query: array<vec4<Element>>; // [rows, groups, key_vectors]
@group(0) @binding(3) var<storage, read> key: array<vec4<Element>>; // [rows, groups, key_vectors]
@group(0) @binding(4) var<storage, read> log_decay: array<vec4f>; // [rows, heads, (keys)]
@if(HAS_BONUS)
@group(0) @binding(5) var<storage, read> bonus: array<vec4f>; // [heads, key_vectors]
@group(0) @binding(6) var<storage, read_write> scores: array<vec4f>; // [(2), chunks, heads, 8 * blocks, 2 * blocks]

// Whether the output reads the state before the token's update.
@if(HAS_BONUS)
const BONUS = true;
@else
const BONUS = false;

fn decay_at(row: u32, head: u32, vector: u32) -> vec4f {
  let index = row * shape.heads + head;
  if (PER_KEY) {
    return exponential_quad(log_decay[index * shape.key_vectors + vector]);
  }
  return vec4f(exponential(log_decay[index / 4u][index % 4u]));
}

// Multiplies the rows after j by `later`, and row j by `own`.
fn scale_rows(x: Row, j: u32, own: f32, later: f32) -> Row {
  return products(x, Row(row_factors(LOW, j, own, later), row_factors(HIGH, j, own, later)));
}

fn row_factors(i: vec4u, j: u32, own: f32, later: f32) -> vec4f {
  return select(
    select(vec4f(1.0), vec4f(later), i > vec4u(j)),
    vec4f(own),
    i == vec4u(j),
  );
}

// Column j of the tile: 0 in rows above the diagonal or past the chunk's end.
fn masked(column: Row, j: u32, count: u32) -> Row {
  return Row(
    select(vec4f(), shape.scale * column[0], (LOW >= vec4u(j)) & (LOW < vec4u(count))),
    select(vec4f(), shape.scale * column[1], (HIGH >= vec4u(j)) & (HIGH < vec4u(count))),
  );
}

fn store(slot: u32, low: vec4f, high: vec4f) {
  scores[slot] = low;
  scores[slot + 1u] = high;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn diagonal_scores(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local.x;
  let head = index % shape.heads;
  let block = index / shape.heads % shape.blocks;
  let chunk = index / (shape.heads * shape.blocks);
  if (chunk >= shape.chunks) {
    return;
  }
  let rows = chunks[chunk];
  let first = rows.x + block * BLOCK;
  if (first >= rows.y) {
    return;
  }
  let last = rows.y - 1u;
  let group = head / (shape.heads / shape.groups);
  var columns: array<Row, BLOCK>; // column j of the tile: its rows i
  for (var vector = 0u; vector < shape.key_vectors; vector++) {
    var queries: array<vec4f, BLOCK>;
    var keys: array<vec4f, BLOCK>;
    var decays: array<vec4f, BLOCK>;
    @unroll
    for (var i = 0u; i < BLOCK; i++) {
      let row = min(first + i, last);
      let at = (row * shape.groups + group) * shape.key_vectors + vector;
      queries[i] = vec4f(query[at]);
      keys[i] = vec4f(key[at]);
      decays[i] = decay_at(row, head, vector);
    }
    let query_by_key = by_key(queries);
    var u = vec4f(1.0);
    @if(HAS_BONUS)
    u = bonus[head * shape.key_vectors + vector];
    // Rows above j gather garbage in column j, and are masked when stored.
    @unroll
    for (var k = 0u; k < 4u; k++) {
      var decayed = query_by_key[k];
      @unroll
      for (var n = 0u; n < BLOCK; n++) {
        const j = BLOCK - 1u - n; // walks back
        columns[j] += scale_rows(decayed, j, u[k], 1.0) * keys[j][k];
        let decay = decays[j][k];
        decayed = scale_rows(decayed, j, select(decay, 1.0, BONUS), decay);
      }
    }
  }

  let count = rows.y - first;
  let line_vectors = shape.blocks * 2u;
  let slot = ((chunk * shape.heads + head) * shape.blocks + block) * BLOCK * line_vectors + block * 2u;
  let copy = slot + shape.chunks * shape.heads * shape.blocks * BLOCK * line_vectors;
  @unroll
  for (var j = 0u; j < BLOCK; j++) {
    columns[j] = masked(columns[j], j, count);
    if (shape.transposed == 1u) {
      store(copy + j * line_vectors, columns[j][0], columns[j][1]);
    }
  }
  @unroll
  for (var half = 0u; half < 2u; half++) {
    let low = transpose(mat4x4f(columns[0][half], columns[1][half], columns[2][half], columns[3][half]));
    let high = transpose(mat4x4f(columns[4][half], columns[5][half], columns[6][half], columns[7][half]));
    @unroll
    for (var i = 0u; i < 4u; i++) {
      store(slot + (4u * half + i) * line_vectors, low[i], high[i]);
    }
  }
}
