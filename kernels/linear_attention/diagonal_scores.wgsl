// Scores inside a block of 8 tokens with decay:
//   score_ij = scale * sum over k of query_ik * key_jk * exp(sum of g from j + 1 to i), for j ≤ i.
// j walks back; row i's query carries the product of the decays from j + 1 to i, each ≤ 1.
// With a bonus the output reads the state before the token's update: the decays stop before i, and
// score_ii = scale * sum over k of query_ik * bonus_k * key_ik.
// Dispatch: one invocation per chunk, block and head.

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

// Column j of the tile, rows 0-3 and 4-7.
var<private> low0: vec4f;
var<private> low1: vec4f;
var<private> low2: vec4f;
var<private> low3: vec4f;
var<private> high0: vec4f;
var<private> high1: vec4f;
var<private> high2: vec4f;
var<private> high3: vec4f;
var<private> high4: vec4f;
var<private> high5: vec4f;
var<private> high6: vec4f;
var<private> high7: vec4f;

fn decay_at(row: u32, head: u32, vector: u32) -> vec4f {
  let index = row * shape.heads + head;
  if (PER_KEY) {
    return exp(log_decay[index * shape.key_vectors + vector]);
  }
  return vec4f(exp(log_decay[index / 4u][index % 4u]));
}

// Adds one key dimension: queries, keys and decays of the 8 tokens. Rows above j gather garbage in
// column j, and are masked when stored.
fn add_key(q_low: vec4f, q_high: vec4f, k_low: vec4f, k_high: vec4f, d_low: vec4f, d_high: vec4f, u: f32) {
  var low = q_low;
  var high = q_high;
  high7 += high * vec4f(1.0, 1.0, 1.0, u) * k_high.w;
  let own7 = select(d_high.w, 1.0, BONUS);
  high *= vec4f(1.0, 1.0, 1.0, own7);
  high6 += high * vec4f(1.0, 1.0, u, 1.0) * k_high.z;
  let own6 = select(d_high.z, 1.0, BONUS);
  high *= vec4f(1.0, 1.0, own6, d_high.z);
  high5 += high * vec4f(1.0, u, 1.0, 1.0) * k_high.y;
  let own5 = select(d_high.y, 1.0, BONUS);
  high *= vec4f(1.0, own5, d_high.y, d_high.y);
  high4 += high * vec4f(u, 1.0, 1.0, 1.0) * k_high.x;
  let own4 = select(d_high.x, 1.0, BONUS);
  high *= vec4f(own4, d_high.x, d_high.x, d_high.x);
  low3 += low * vec4f(1.0, 1.0, 1.0, u) * k_low.w;
  high3 += high * k_low.w;
  let own3 = select(d_low.w, 1.0, BONUS);
  low *= vec4f(1.0, 1.0, 1.0, own3);
  high *= d_low.w;
  low2 += low * vec4f(1.0, 1.0, u, 1.0) * k_low.z;
  high2 += high * k_low.z;
  let own2 = select(d_low.z, 1.0, BONUS);
  low *= vec4f(1.0, 1.0, own2, d_low.z);
  high *= d_low.z;
  low1 += low * vec4f(1.0, u, 1.0, 1.0) * k_low.y;
  high1 += high * k_low.y;
  let own1 = select(d_low.y, 1.0, BONUS);
  low *= vec4f(1.0, own1, d_low.y, d_low.y);
  high *= d_low.y;
  low0 += low * vec4f(u, 1.0, 1.0, 1.0) * k_low.x;
  high0 += high * k_low.x;
}

// Rows of column j that lie above the diagonal or past the chunk's end are 0.
fn masked(column: vec4f, j: u32, first_i: u32, count: u32) -> vec4f {
  let i = first_i + vec4u(0u, 1u, 2u, 3u);
  return select(vec4f(), shape.scale * column, (i >= vec4u(j)) & (i < vec4u(count)));
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
  let first = rows.x + block * 8u;
  if (first >= rows.y) {
    return;
  }
  let last = rows.y - 1u;
  let group = head / (shape.heads / shape.groups);
  let row_low = min(first + vec4u(0u, 1u, 2u, 3u), vec4u(last));
  let row_high = min(first + vec4u(4u, 5u, 6u, 7u), vec4u(last));
  let at_low = (row_low * shape.groups + group) * shape.key_vectors;
  let at_high = (row_high * shape.groups + group) * shape.key_vectors;
  for (var vector = 0u; vector < shape.key_vectors; vector++) {
    let q_low = transpose(mat4x4f(
      vec4f(query[at_low.x + vector]),
      vec4f(query[at_low.y + vector]),
      vec4f(query[at_low.z + vector]),
      vec4f(query[at_low.w + vector]),
    ));
    let q_high = transpose(mat4x4f(
      vec4f(query[at_high.x + vector]),
      vec4f(query[at_high.y + vector]),
      vec4f(query[at_high.z + vector]),
      vec4f(query[at_high.w + vector]),
    ));
    let k_low = transpose(mat4x4f(
      vec4f(key[at_low.x + vector]),
      vec4f(key[at_low.y + vector]),
      vec4f(key[at_low.z + vector]),
      vec4f(key[at_low.w + vector]),
    ));
    let k_high = transpose(mat4x4f(
      vec4f(key[at_high.x + vector]),
      vec4f(key[at_high.y + vector]),
      vec4f(key[at_high.z + vector]),
      vec4f(key[at_high.w + vector]),
    ));
    let d_low = transpose(mat4x4f(
      decay_at(row_low.x, head, vector),
      decay_at(row_low.y, head, vector),
      decay_at(row_low.z, head, vector),
      decay_at(row_low.w, head, vector),
    ));
    let d_high = transpose(mat4x4f(
      decay_at(row_high.x, head, vector),
      decay_at(row_high.y, head, vector),
      decay_at(row_high.z, head, vector),
      decay_at(row_high.w, head, vector),
    ));
    var u = vec4f(1.0);
    @if(HAS_BONUS)
    u = bonus[head * shape.key_vectors + vector];
    add_key(q_low[0], q_high[0], k_low[0], k_high[0], d_low[0], d_high[0], u.x);
    add_key(q_low[1], q_high[1], k_low[1], k_high[1], d_low[1], d_high[1], u.y);
    add_key(q_low[2], q_high[2], k_low[2], k_high[2], d_low[2], d_high[2], u.z);
    add_key(q_low[3], q_high[3], k_low[3], k_high[3], d_low[3], d_high[3], u.w);
  }

  let count = rows.y - first;
  low0 = masked(low0, 0u, 0u, count);
  high0 = masked(high0, 0u, 4u, count);
  low1 = masked(low1, 1u, 0u, count);
  high1 = masked(high1, 1u, 4u, count);
  low2 = masked(low2, 2u, 0u, count);
  high2 = masked(high2, 2u, 4u, count);
  low3 = masked(low3, 3u, 0u, count);
  high3 = masked(high3, 3u, 4u, count);
  high4 = masked(high4, 4u, 4u, count);
  high5 = masked(high5, 5u, 4u, count);
  high6 = masked(high6, 6u, 4u, count);
  high7 = masked(high7, 7u, 4u, count);
  let line_vectors = shape.blocks * 2u;
  let slot = ((chunk * shape.heads + head) * shape.blocks + block) * 8u * line_vectors + block * 2u;
  let low_low = transpose(mat4x4f(low0, low1, low2, low3));
  let high_low = transpose(mat4x4f(high0, high1, high2, high3));
  let high_high = transpose(mat4x4f(high4, high5, high6, high7));
  store(slot + 0u * line_vectors, low_low[0], vec4f());
  store(slot + 1u * line_vectors, low_low[1], vec4f());
  store(slot + 2u * line_vectors, low_low[2], vec4f());
  store(slot + 3u * line_vectors, low_low[3], vec4f());
  store(slot + 4u * line_vectors, high_low[0], high_high[0]);
  store(slot + 5u * line_vectors, high_low[1], high_high[1]);
  store(slot + 6u * line_vectors, high_low[2], high_high[2]);
  store(slot + 7u * line_vectors, high_low[3], high_high[3]);
  if (shape.transposed == 1u) {
    let copied = slot + shape.chunks * shape.heads * shape.blocks * 8u * line_vectors;
    store(copied + 0u * line_vectors, low0, high0);
    store(copied + 1u * line_vectors, low1, high1);
    store(copied + 2u * line_vectors, low2, high2);
    store(copied + 3u * line_vectors, low3, high3);
    store(copied + 4u * line_vectors, vec4f(), high4);
    store(copied + 5u * line_vectors, vec4f(), high5);
    store(copied + 6u * line_vectors, vec4f(), high6);
    store(copied + 7u * line_vectors, vec4f(), high7);
  }
}
