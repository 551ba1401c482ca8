// Queries and keys decayed to the borders of their block of 8 tokens, and the blocks' own decays:
//   decayed_query_i = query_i * exp(sum of g from the block's start to i)
//   decayed_key_j = key_j * exp(sum of g after j to the block's end)
// With READS_BEFORE the output reads the state before the token's own update: the query's sum stops
// before i. Sums of values ≤ 0: no exponent is taken of a difference.
// Dispatch: one invocation per chunk, head and 4 keys.

import package::common::exponential::exponential_quad;

override WORKGROUP_SIZE: u32 = 64u;
override PER_KEY: bool = true; // log_decay per key; else per head
override READS_BEFORE: bool = false;

@link
alias Element = f32; // or f16: how the caller's rows are stored; all arithmetic is in f32

struct Shape {
  chunks: u32,
  heads: u32,
  groups: u32,
  key_vectors: u32,
  blocks: u32, // in a chunk
  first_row: u32,
  rows: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec2u>; // [chunks]: first row, end
@group(0) @binding(2) var<storage, read> query: array<vec4<Element>>; // [rows, groups, key_vectors]
@group(0) @binding(3) var<storage, read> key: array<vec4<Element>>; // [rows, groups, key_vectors]
@group(0) @binding(4) var<storage, read> log_decay: array<vec4f>; // [rows, heads, (keys)]
@group(0) @binding(5) var<storage, read_write> decayed: array<vec4f>; // [query and key, rows, heads, key_vectors]
// [chunks, blocks, heads, 3, key_vectors]: chunk's start to block's, the block, its end to the chunk's
@group(0) @binding(6) var<storage, read_write> decays: array<vec4f>;

fn log_decay_at(row: u32, head: u32, vector: u32) -> vec4f {
  let index = row * shape.heads + head;
  if (PER_KEY) {
    return log_decay[index * shape.key_vectors + vector];
  }
  return vec4f(log_decay[index / 4u][index % 4u]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn chunk_decay(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local.x;
  let vector = index % shape.key_vectors;
  let head = index / shape.key_vectors % shape.heads;
  let chunk = index / (shape.key_vectors * shape.heads);
  if (chunk >= shape.chunks) {
    return;
  }
  let rows = chunks[chunk];
  let group = head / (shape.heads / shape.groups);

  var before = vec4f();
  for (var block = 0u; block < shape.blocks; block++) {
    let first = min(rows.x + block * 8u, rows.y);
    let end = min(first + 8u, rows.y);
    var sum = vec4f();
    for (var row = first; row < end; row++) {
      let read_sum = sum;
      sum += log_decay_at(row, head, vector);
      decayed[((row - shape.first_row) * shape.heads + head) * shape.key_vectors + vector] =
        vec4f(query[(row * shape.groups + group) * shape.key_vectors + vector]) *
        exponential_quad(select(sum, read_sum, READS_BEFORE));
    }
    let slot = ((chunk * shape.blocks + block) * shape.heads + head) * 3u * shape.key_vectors +
      vector;
    decays[slot] = exponential_quad(before);
    decays[slot + shape.key_vectors] = exponential_quad(sum);
    before += sum;
  }

  var after = vec4f();
  for (var block = shape.blocks; block > 0u; block--) {
    let first = min(rows.x + (block - 1u) * 8u, rows.y);
    let end = min(first + 8u, rows.y);
    var sum = vec4f();
    for (var row = end; row > first; row--) {
      decayed[((shape.rows + row - 1u - shape.first_row) * shape.heads + head) * shape.key_vectors + vector] =
        vec4f(key[((row - 1u) * shape.groups + group) * shape.key_vectors + vector]) * exponential_quad(sum);
      sum += log_decay_at(row - 1u, head, vector);
    }
    let slot = ((chunk * shape.blocks + block - 1u) * shape.heads + head) * 3u *
      shape.key_vectors + vector;
    decays[slot + 2u * shape.key_vectors] = exponential_quad(after);
    after += sum;
  }
}
