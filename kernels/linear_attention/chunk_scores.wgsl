// Scores between the blocks of a chunk: score_ij = scale * sum over k of a_ik * m_k * b_jk for j ≤ i,
// with m the decay of the blocks that lie between; 0 where j > i in one block.
// Without INCLUDE_DIAGONAL, only blocks of i after the block of j: diagonal_scores does the rest.
// Transposed, a second copy lies behind the first with i and j exchanged.
// Dispatch: one invocation per chunk, pair of blocks and head: a tile of 8 × 8 in registers.

override WORKGROUP_SIZE: u32 = 64u;
override HAS_DECAY: bool = true;
override INCLUDE_DIAGONAL: bool = false;

struct Shape {
  chunks: u32,
  heads: u32,
  a_heads: u32,
  vectors: u32, // of a row of a and b
  blocks: u32, // in a chunk
  pairs: u32, // of blocks
  b_offset: u32, // of b in its tensor
  transposed: u32, // 0 or 1
  scale: u32, // the bits of an f32
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec2u>; // [chunks]: first row, end
@group(0) @binding(2) var<storage, read> a: array<vec4f>; // [rows, a_heads, vectors]
@group(0) @binding(3) var<storage, read> b: array<vec4f>; // [.., rows, a_heads, vectors]
@group(0) @binding(4) var<storage, read> decays: array<vec4f>; // [chunks, blocks, heads, 3, vectors]
@group(0) @binding(5) var<storage, read_write> scores: array<vec4f>; // [(2), chunks, heads, 8 * blocks, 2 * blocks]

// Four scores of token i, for tokens first_j to first_j + 3: 0 where masked or past the chunk's end.
fn masked(row: vec4f, i: u32, first_j: u32, count: u32) -> vec4f {
  let j = first_j + vec4u(0u, 1u, 2u, 3u);
  let end = select(0u, min(i + 1u, count), i < count);
  return select(vec4f(), bitcast<f32>(shape.scale) * row, j < vec4u(end));
}

fn store(slot: u32, low: vec4f, high: vec4f) {
  scores[slot] = low;
  scores[slot + 1u] = high;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn chunk_scores(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local.x;
  let head = index % shape.heads;
  let pair = index / shape.heads % shape.pairs;
  let chunk = index / (shape.heads * shape.pairs);
  if (chunk >= shape.chunks) {
    return;
  }
  // Pairs count through the triangle row by row.
  let line = u32((sqrt(8.0 * f32(pair) + 1.0) - 1.0) * 0.5 + 1e-4);
  let j_block = pair - line * (line + 1u) / 2u;
  let i_block = select(line + 1u, line, INCLUDE_DIAGONAL);

  let rows = chunks[chunk];
  let count = rows.y - rows.x;
  if (i_block * 8u >= count) {
    return;
  }
  let last = count - 1u;
  let a_head = head / (shape.heads / shape.a_heads);
  let stride = shape.a_heads * shape.vectors;
  let base = rows.x * stride + a_head * shape.vectors;
  let i = vec4u(i_block * 8u) + vec4u(0u, 1u, 2u, 3u);
  let j = vec4u(j_block * 8u) + vec4u(0u, 1u, 2u, 3u);
  let a_low = base + min(i, vec4u(last)) * stride;
  let a_high = base + min(i + 4u, vec4u(last)) * stride;
  let b_low = shape.b_offset + base + min(j, vec4u(last)) * stride;
  let b_high = shape.b_offset + base + min(j + 4u, vec4u(last)) * stride;

  var low0 = vec4f();
  var high0 = vec4f();
  var low1 = vec4f();
  var high1 = vec4f();
  var low2 = vec4f();
  var high2 = vec4f();
  var low3 = vec4f();
  var high3 = vec4f();
  var low4 = vec4f();
  var high4 = vec4f();
  var low5 = vec4f();
  var high5 = vec4f();
  var low6 = vec4f();
  var high6 = vec4f();
  var low7 = vec4f();
  var high7 = vec4f();
  for (var vector = 0u; vector < shape.vectors; vector++) {
    var between = vec4f(1.0);
    if (HAS_DECAY) {
      for (var block = j_block + 1u; block < i_block; block++) {
        between *= decays[
          (((chunk * shape.blocks + block) * shape.heads + head) * 3u + 1u) * shape.vectors + vector
        ];
      }
    }
    let columns_low = mat4x4f(
      b[b_low.x + vector] * between,
      b[b_low.y + vector] * between,
      b[b_low.z + vector] * between,
      b[b_low.w + vector] * between,
    );
    let columns_high = mat4x4f(
      b[b_high.x + vector] * between,
      b[b_high.y + vector] * between,
      b[b_high.z + vector] * between,
      b[b_high.w + vector] * between,
    );
    let a0 = a[a_low.x + vector];
    let a1 = a[a_low.y + vector];
    let a2 = a[a_low.z + vector];
    let a3 = a[a_low.w + vector];
    let a4 = a[a_high.x + vector];
    let a5 = a[a_high.y + vector];
    let a6 = a[a_high.z + vector];
    let a7 = a[a_high.w + vector];
    low0 += a0 * columns_low;
    low1 += a1 * columns_low;
    low2 += a2 * columns_low;
    low3 += a3 * columns_low;
    low4 += a4 * columns_low;
    low5 += a5 * columns_low;
    low6 += a6 * columns_low;
    low7 += a7 * columns_low;
    high0 += a0 * columns_high;
    high1 += a1 * columns_high;
    high2 += a2 * columns_high;
    high3 += a3 * columns_high;
    high4 += a4 * columns_high;
    high5 += a5 * columns_high;
    high6 += a6 * columns_high;
    high7 += a7 * columns_high;
  }

  let line_vectors = shape.blocks * 2u;
  let tile = (chunk * shape.heads + head) * shape.blocks * 8u;
  low0 = masked(low0, i.x + 0u, j.x, count);
  high0 = masked(high0, i.x + 0u, j.x + 4u, count);
  low1 = masked(low1, i.x + 1u, j.x, count);
  high1 = masked(high1, i.x + 1u, j.x + 4u, count);
  low2 = masked(low2, i.x + 2u, j.x, count);
  high2 = masked(high2, i.x + 2u, j.x + 4u, count);
  low3 = masked(low3, i.x + 3u, j.x, count);
  high3 = masked(high3, i.x + 3u, j.x + 4u, count);
  low4 = masked(low4, i.x + 4u, j.x, count);
  high4 = masked(high4, i.x + 4u, j.x + 4u, count);
  low5 = masked(low5, i.x + 5u, j.x, count);
  high5 = masked(high5, i.x + 5u, j.x + 4u, count);
  low6 = masked(low6, i.x + 6u, j.x, count);
  high6 = masked(high6, i.x + 6u, j.x + 4u, count);
  low7 = masked(low7, i.x + 7u, j.x, count);
  high7 = masked(high7, i.x + 7u, j.x + 4u, count);
  let slot = (tile + i.x) * line_vectors + j.x / 4u;
  store(slot + 0u * line_vectors, low0, high0);
  store(slot + 1u * line_vectors, low1, high1);
  store(slot + 2u * line_vectors, low2, high2);
  store(slot + 3u * line_vectors, low3, high3);
  store(slot + 4u * line_vectors, low4, high4);
  store(slot + 5u * line_vectors, low5, high5);
  store(slot + 6u * line_vectors, low6, high6);
  store(slot + 7u * line_vectors, low7, high7);
  if (shape.transposed == 1u) {
    let copy = shape.chunks * shape.heads * shape.blocks * 8u;
    let slot = (copy + tile + j.x) * line_vectors + i.x / 4u;
    let low_low = transpose(mat4x4f(low0, low1, low2, low3));
    let low_high = transpose(mat4x4f(low4, low5, low6, low7));
    let high_low = transpose(mat4x4f(high0, high1, high2, high3));
    let high_high = transpose(mat4x4f(high4, high5, high6, high7));
    store(slot + 0u * line_vectors, low_low[0], low_high[0]);
    store(slot + 1u * line_vectors, low_low[1], low_high[1]);
    store(slot + 2u * line_vectors, low_low[2], low_high[2]);
    store(slot + 3u * line_vectors, low_low[3], low_high[3]);
    store(slot + 4u * line_vectors, high_low[0], high_high[0]);
    store(slot + 5u * line_vectors, high_low[1], high_high[1]);
    store(slot + 6u * line_vectors, high_low[2], high_high[2]);
    store(slot + 7u * line_vectors, high_low[3], high_high[3]);
  }
}
