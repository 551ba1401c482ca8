// Scores between the blocks of a chunk: score_ij = scale * sum over k of a_ik * m_k * b_jk for j ≤ i,
// with m the decay of the blocks that lie between; 0 where j > i in one block.
// Without INCLUDE_DIAGONAL, only blocks of i after the block of j: diagonal_scores does the rest.
// Transposed, a second copy follows the first with i and j exchanged.
// Dispatch: one invocation per chunk, pair of blocks and head: a tile of 8 × 8 in registers.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::linear_attention::chunks::{WITHIN, chunks, decays_at, scores_at};
import package::linear_attention::tile::{BLOCK, FOURS, Row, Strip, projected, transposed_half};

override INCLUDE_DIAGONAL: bool = false;

@link
alias Element = f32; // or f16: how a and b are stored; all arithmetic is in f32

struct Shape {
  chunks: u32,
  heads: u32,
  a_heads: u32,
  vectors: u32, // of a row of a and b
  blocks: u32, // in a chunk
  pairs: u32, // of blocks
  a_offset: i32, // of row 0 in its tensor; it may lie before it, and wrap
  b_offset: i32,
  transposed: u32, // 0 or 1
  scale: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> a: array<vec4<Element>>; // [rows, a_heads, vectors]
@group(0) @binding(3) var<storage, read> b: array<vec4<Element>>; // [.., rows, a_heads, vectors]
@if(HAS_DECAYS)
@group(0) @binding(4) var<storage, read> decays: array<vec4f>; // [chunks, blocks, heads, 3, vectors]
@group(0) @binding(5) var<storage, read_write> scores: array<vec4f>; // [(2), chunks, heads, 8 * blocks, 2 * blocks]

// A token's scores with eight tokens j: 0 where j > i or past the chunk's end.
fn masked(row: Row, i: u32, first_j: u32, count: u32) -> Row {
  let j = first_j + vec4u(0u, 1u, 2u, 3u);
  let end = vec4u(select(0u, min(i + 1u, count), i < count));
  let scaled = shape.scale * row;
  return Row(select(vec4f(), scaled[0], j < end), select(vec4f(), scaled[1], j + 4u < end));
}

fn store(slot: u32, low: vec4f, high: vec4f) {
  scores[slot] = low;
  scores[slot + 1u] = high;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn chunk_scores(invocation: Invocation) {
  let index = number_of(invocation);
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
  if (i_block * BLOCK >= count) {
    return;
  }
  let last = count - 1u;
  let a_head = head / (shape.heads / shape.a_heads);
  let stride = shape.a_heads * shape.vectors;
  let base = rows.x * stride + a_head * shape.vectors;
  let i = i_block * BLOCK;
  let j = j_block * BLOCK;
  var a_at: array<u32, BLOCK>;
  var b_at: array<u32, BLOCK>;
  var sums: array<Row, BLOCK>; // of the tokens i
  @unroll
  for (var n = 0u; n < BLOCK; n++) {
    a_at[n] = u32(shape.a_offset) + base + min(i + n, last) * stride;
    b_at[n] = u32(shape.b_offset) + base + min(j + n, last) * stride;
  }
  for (var vector = 0u; vector < shape.vectors; vector++) {
    var between = vec4f(1.0);
    @if(HAS_DECAYS) {
      for (var block = j_block + 1u; block < i_block; block++) {
        let slot = decays_at(chunk * shape.blocks + block, head, WITHIN, shape.heads, shape.vectors);
        between *= decays[slot + vector];
      }
    }
    let tokens = Strip(mat4x4f(
      vec4f(b[b_at[0] + vector]) * between,
      vec4f(b[b_at[1] + vector]) * between,
      vec4f(b[b_at[2] + vector]) * between,
      vec4f(b[b_at[3] + vector]) * between,
    ), mat4x4f(
      vec4f(b[b_at[4] + vector]) * between,
      vec4f(b[b_at[5] + vector]) * between,
      vec4f(b[b_at[6] + vector]) * between,
      vec4f(b[b_at[7] + vector]) * between,
    ));
    @unroll
    for (var n = 0u; n < BLOCK; n++) {
      sums[n] += projected(tokens, vec4f(a[a_at[n] + vector]));
    }
  }

  let line_vectors = shape.blocks * FOURS; // vec4s of a token's scores
  let slot = scores_at(chunk, head, shape.heads, shape.blocks) + i * line_vectors + j / 4u;
  @unroll
  for (var n = 0u; n < BLOCK; n++) {
    sums[n] = masked(sums[n], i + n, j, count);
    store(slot + n * line_vectors, sums[n][0], sums[n][1]);
  }
  if (shape.transposed == 1u) {
    let slot = scores_at(shape.chunks + chunk, head, shape.heads, shape.blocks) + j * line_vectors + i / 4u;
    @unroll
    for (var half = 0u; half < FOURS; half++) {
      let columns = transposed_half(sums, half);
      @unroll
      for (var n = 0u; n < 4u; n++) {
        store(slot + (4u * half + n) * line_vectors, columns.low[n], columns.high[n]);
      }
    }
  }
}
