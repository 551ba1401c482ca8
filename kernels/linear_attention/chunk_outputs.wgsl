// Outputs of a chunk: what the state before it gives, and what the chunk's own tokens give.
//   output_i = scale * (query_i decayed from the chunk's start) state + sum over j of score_ij value_j
// Reversed, the same for the value's gradient, with keys decayed to the chunk's end, the state's
// gradient after the chunk, transposed scores and tokens after i.
// Dispatch: one invocation per chunk, block, head and tile of 8 tokens × 8 values in registers.

override WORKGROUP_SIZE: u32 = 64u;

@link
alias Element = f32; // or f16: how the caller's rows are stored; all arithmetic is in f32
@link
alias DecayedElement = f32; // Element where queries and keys are not decayed

struct Shape {
  chunks: u32,
  heads: u32,
  a_heads: u32,
  key_vectors: u32,
  value_vectors: u32,
  blocks: u32, // in a chunk
  a_offset: i32, // of row 0 in its tensor; it may lie before it, and wrap
  reversed: u32, // 0 or 1
  scale: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec2u>; // [chunks]: first row, end
@group(0) @binding(2) var<storage, read> a: array<vec4<DecayedElement>>; // [.., rows, a_heads, key_vectors]
@group(0) @binding(3) var<storage, read> value: array<vec4<Element>>; // [rows, heads, value_vectors]
@if(HAS_DECAYS)
@group(0) @binding(4) var<storage, read> decays: array<vec4f>; // [chunks, blocks, heads, 3, key_vectors]
@group(0) @binding(5) var<storage, read> scores: array<vec4f>; // [(2), chunks, heads, 8 * blocks, 2 * blocks]
@group(0) @binding(6) var<storage, read> states: array<vec4f>; // [chunks, heads, keys, value_vectors]
@group(0) @binding(7) var<storage, read_write> output: array<vec4<Element>>; // [rows, heads, value_vectors]

// 8 values of a token.
alias Row = mat2x4f;

var<private> row0: Row;
var<private> row1: Row;
var<private> row2: Row;
var<private> row3: Row;
var<private> row4: Row;
var<private> row5: Row;
var<private> row6: Row;
var<private> row7: Row;

fn store(row: u32, last: u32, column: u32, values: Row) {
  if (row <= last) {
    let slot = row * shape.heads * shape.value_vectors + column;
    output[slot] = vec4<Element>(values[0]);
    output[slot + 1u] = vec4<Element>(values[1]);
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn chunk_outputs(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local.x;
  let reversed = shape.reversed == 1u;
  let tiles = shape.value_vectors / 2u;
  let value_vector = index % tiles * 2u;
  let head = index / tiles % shape.heads;
  let block = index / (tiles * shape.heads) % shape.blocks;
  let chunk = index / (tiles * shape.heads * shape.blocks);
  if (chunk >= shape.chunks) {
    return;
  }
  let rows = chunks[chunk];
  let first = rows.x + block * 8u;
  if (first >= rows.y) {
    return;
  }
  let last = rows.y - 1u;
  let row_low = min(first + vec4u(0u, 1u, 2u, 3u), vec4u(last));
  let row_high = min(first + vec4u(4u, 5u, 6u, 7u), vec4u(last));
  let a_head = head / (shape.heads / shape.a_heads);
  let a_low = u32(shape.a_offset) + (row_low * shape.a_heads + a_head) * shape.key_vectors;
  let a_high = u32(shape.a_offset) + (row_high * shape.a_heads + a_head) * shape.key_vectors;
  let border = ((chunk * shape.blocks + block) * shape.heads + head) * 3u * shape.key_vectors +
    select(0u, 2u * shape.key_vectors, reversed);
  let state = (chunk * shape.heads + head) * shape.key_vectors * 4u * shape.value_vectors +
    value_vector;
  for (var vector = 0u; vector < shape.key_vectors; vector++) {
    var decay = vec4f(shape.scale);
    @if(HAS_DECAYS)
    decay *= decays[border + vector];
    let line = state + vector * 4u * shape.value_vectors;
    let low = mat4x4f(
      decay.x * states[line],
      decay.y * states[line + shape.value_vectors],
      decay.z * states[line + 2u * shape.value_vectors],
      decay.w * states[line + 3u * shape.value_vectors],
    );
    let high = mat4x4f(
      decay.x * states[line + 1u],
      decay.y * states[line + shape.value_vectors + 1u],
      decay.z * states[line + 2u * shape.value_vectors + 1u],
      decay.w * states[line + 3u * shape.value_vectors + 1u],
    );
    let a0 = vec4f(a[a_low.x + vector]);
    let a1 = vec4f(a[a_low.y + vector]);
    let a2 = vec4f(a[a_low.z + vector]);
    let a3 = vec4f(a[a_low.w + vector]);
    let a4 = vec4f(a[a_high.x + vector]);
    let a5 = vec4f(a[a_high.y + vector]);
    let a6 = vec4f(a[a_high.z + vector]);
    let a7 = vec4f(a[a_high.w + vector]);
    row0 += Row(low * a0, high * a0);
    row1 += Row(low * a1, high * a1);
    row2 += Row(low * a2, high * a2);
    row3 += Row(low * a3, high * a3);
    row4 += Row(low * a4, high * a4);
    row5 += Row(low * a5, high * a5);
    row6 += Row(low * a6, high * a6);
    row7 += Row(low * a7, high * a7);
  }

  let line_vectors = shape.blocks * 2u;
  let copy = select(0u, shape.chunks, reversed);
  let line = (((copy + chunk) * shape.heads + head) * shape.blocks + block) * 8u * line_vectors;
  let from_vector = select(0u, block * 2u, reversed);
  let to_vector = select(block * 2u + 2u, (rows.y - rows.x + 7u) / 8u * 2u, reversed);
  let stride = shape.heads * shape.value_vectors;
  let column = head * shape.value_vectors + value_vector;
  for (var vector = from_vector; vector < to_vector; vector++) {
    let at = column + min(rows.x + vector * 4u + vec4u(0u, 1u, 2u, 3u), vec4u(last)) * stride;
    let low = mat4x4f(
      vec4f(value[at.x]),
      vec4f(value[at.y]),
      vec4f(value[at.z]),
      vec4f(value[at.w]),
    );
    let high = mat4x4f(
      vec4f(value[at.x + 1u]),
      vec4f(value[at.y + 1u]),
      vec4f(value[at.z + 1u]),
      vec4f(value[at.w + 1u]),
    );
    let a0 = scores[line + 0u * line_vectors + vector];
    let a1 = scores[line + 1u * line_vectors + vector];
    let a2 = scores[line + 2u * line_vectors + vector];
    let a3 = scores[line + 3u * line_vectors + vector];
    let a4 = scores[line + 4u * line_vectors + vector];
    let a5 = scores[line + 5u * line_vectors + vector];
    let a6 = scores[line + 6u * line_vectors + vector];
    let a7 = scores[line + 7u * line_vectors + vector];
    row0 += Row(low * a0, high * a0);
    row1 += Row(low * a1, high * a1);
    row2 += Row(low * a2, high * a2);
    row3 += Row(low * a3, high * a3);
    row4 += Row(low * a4, high * a4);
    row5 += Row(low * a5, high * a5);
    row6 += Row(low * a6, high * a6);
    row7 += Row(low * a7, high * a7);
  }
  store(first + 0u, last, column, row0);
  store(first + 1u, last, column, row1);
  store(first + 2u, last, column, row2);
  store(first + 3u, last, column, row3);
  store(first + 4u, last, column, row4);
  store(first + 5u, last, column, row5);
  store(first + 6u, last, column, row6);
  store(first + 7u, last, column, row7);
}
