// Scores between the blocks of a chunk: score_ij = scale * sum over k of a_ik * m_k * b_jk for j ≤ i,
// with m the decay of the blocks that lie between; 0 where j > i in one block.
// Without INCLUDE_DIAGONAL, only blocks of i after the block of j: diagonal_scores does the rest.
// Transposed, a second copy lies behind the first with i and j exchanged.
// Dispatch: one invocation per chunk, pair of blocks and head: a tile of 8 × 8 in registers.

override WORKGROUP_SIZE: u32 = 64u;
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
@group(0) @binding(1) var<storage, read> chunks: array<vec2u>; // [chunks]: first row, end
@group(0) @binding(2) var<storage, read> a: array<vec4<Element>>; // [rows, a_heads, vectors]
@group(0) @binding(3) var<storage, read> b: array<vec4<Element>>; // [.., rows, a_heads, vectors]
@if(HAS_DECAYS)
@group(0) @binding(4) var<storage, read> decays: array<vec4f>; // [chunks, blocks, heads, 3, vectors]
@group(0) @binding(5) var<storage, read_write> scores: array<vec4f>; // [(2), chunks, heads, 8 * blocks, 2 * blocks]

// The scores of a token i with 8 tokens j.
alias Row = mat2x4f;

// 0 where j > i or past the chunk's end.
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
  let a_low = u32(shape.a_offset) + base + min(i, vec4u(last)) * stride;
  let a_high = u32(shape.a_offset) + base + min(i + 4u, vec4u(last)) * stride;
  let b_low = u32(shape.b_offset) + base + min(j, vec4u(last)) * stride;
  let b_high = u32(shape.b_offset) + base + min(j + 4u, vec4u(last)) * stride;

  var row0 = Row();
  var row1 = Row();
  var row2 = Row();
  var row3 = Row();
  var row4 = Row();
  var row5 = Row();
  var row6 = Row();
  var row7 = Row();
  for (var vector = 0u; vector < shape.vectors; vector++) {
    var between = vec4f(1.0);
    @if(HAS_DECAYS) {
      for (var block = j_block + 1u; block < i_block; block++) {
        between *= decays[
          (((chunk * shape.blocks + block) * shape.heads + head) * 3u + 1u) * shape.vectors + vector
        ];
      }
    }
    let low = mat4x4f(
      vec4f(b[b_low.x + vector]) * between,
      vec4f(b[b_low.y + vector]) * between,
      vec4f(b[b_low.z + vector]) * between,
      vec4f(b[b_low.w + vector]) * between,
    );
    let high = mat4x4f(
      vec4f(b[b_high.x + vector]) * between,
      vec4f(b[b_high.y + vector]) * between,
      vec4f(b[b_high.z + vector]) * between,
      vec4f(b[b_high.w + vector]) * between,
    );
    let a0 = vec4f(a[a_low.x + vector]);
    let a1 = vec4f(a[a_low.y + vector]);
    let a2 = vec4f(a[a_low.z + vector]);
    let a3 = vec4f(a[a_low.w + vector]);
    let a4 = vec4f(a[a_high.x + vector]);
    let a5 = vec4f(a[a_high.y + vector]);
    let a6 = vec4f(a[a_high.z + vector]);
    let a7 = vec4f(a[a_high.w + vector]);
    row0 += Row(a0 * low, a0 * high);
    row1 += Row(a1 * low, a1 * high);
    row2 += Row(a2 * low, a2 * high);
    row3 += Row(a3 * low, a3 * high);
    row4 += Row(a4 * low, a4 * high);
    row5 += Row(a5 * low, a5 * high);
    row6 += Row(a6 * low, a6 * high);
    row7 += Row(a7 * low, a7 * high);
  }

  let line_vectors = shape.blocks * 2u;
  let tile = (chunk * shape.heads + head) * shape.blocks * 8u;
  row0 = masked(row0, i.x + 0u, j.x, count);
  row1 = masked(row1, i.x + 1u, j.x, count);
  row2 = masked(row2, i.x + 2u, j.x, count);
  row3 = masked(row3, i.x + 3u, j.x, count);
  row4 = masked(row4, i.x + 4u, j.x, count);
  row5 = masked(row5, i.x + 5u, j.x, count);
  row6 = masked(row6, i.x + 6u, j.x, count);
  row7 = masked(row7, i.x + 7u, j.x, count);
  let slot = (tile + i.x) * line_vectors + j.x / 4u;
  store(slot + 0u * line_vectors, row0[0], row0[1]);
  store(slot + 1u * line_vectors, row1[0], row1[1]);
  store(slot + 2u * line_vectors, row2[0], row2[1]);
  store(slot + 3u * line_vectors, row3[0], row3[1]);
  store(slot + 4u * line_vectors, row4[0], row4[1]);
  store(slot + 5u * line_vectors, row5[0], row5[1]);
  store(slot + 6u * line_vectors, row6[0], row6[1]);
  store(slot + 7u * line_vectors, row7[0], row7[1]);
  if (shape.transposed == 1u) {
    let copy = shape.chunks * shape.heads * shape.blocks * 8u;
    let slot = (copy + tile + j.x) * line_vectors + i.x / 4u;
    let low_low = transpose(mat4x4f(row0[0], row1[0], row2[0], row3[0]));
    let low_high = transpose(mat4x4f(row4[0], row5[0], row6[0], row7[0]));
    let high_low = transpose(mat4x4f(row0[1], row1[1], row2[1], row3[1]));
    let high_high = transpose(mat4x4f(row4[1], row5[1], row6[1], row7[1]));
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
