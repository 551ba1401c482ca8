// The query's gradient, up to the tokens of its own block, decayed to the block's start only:
//   gradient_i = scale * state output_gradient_i                     (the state before the chunk)
//              + sum over earlier blocks' tokens j of value_score_ij key_j
// by Horner's rule over the blocks of 8 tokens: gradient = block's decay * gradient + sum in the block.
// Reversed, the same for the key's gradient, decayed to its block's end: from the state's gradient
// after the chunk, over later blocks from the last, with queries. Without decay the own block is
// included, and the gradient is whole.
// With decay it also leaves, for decay_carry, what reaches over whole blocks: the sums over the own
// tokens of decayed_query_i * gradient_i before each earlier block (reversed: of
// decayed_key_j * gradient_j before any).
// Dispatch: one invocation per chunk, block, head and tile of 8 tokens × 8 keys in registers.

import package::linear_attention::tile::{BLOCK, Row};

override WORKGROUP_SIZE: u32 = 64u;

@link
alias Element = f32; // or f16: how the caller's rows are stored; all arithmetic is in f32
@link
alias DecayedElement = f32; // Element where queries and keys are not decayed

struct Shape {
  chunks: u32,
  heads: u32,
  other_heads: u32,
  key_vectors: u32,
  value_vectors: u32,
  blocks: u32, // in a chunk
  other_offset: i32, // of row 0 of the keys (reversed: queries); it may lie before decayed, and wrap
  own_offset: i32, // of row 0 of the queries (reversed: keys)
  reversed: u32, // 0 or 1
  scale: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec2u>; // [chunks]: first row, end
@group(0) @binding(2) var<storage, read> rows_of_values: array<vec4<Element>>; // [rows, heads, value_vectors]
@group(0) @binding(3) var<storage, read> decayed: array<vec4<DecayedElement>>; // [.., rows, other_heads, key_vectors]
@if(HAS_DECAYS)
@group(0) @binding(4) var<storage, read> decays: array<vec4f>; // [chunks, blocks, heads, 3, key_vectors]
@group(0) @binding(5) var<storage, read> scores: array<vec4f>; // [2, chunks, heads, 8 * blocks, 2 * blocks]
@group(0) @binding(6) var<storage, read> states: array<vec4f>; // [chunks, heads, keys, value_vectors]
@group(0) @binding(7) var<storage, read_write> gradient: array<vec4f>; // [rows, heads, key_vectors]
// [chunks, blocks, heads, blocks, key_vectors]; reversed [chunks, blocks, heads, key_vectors]
@if(HAS_CARRIED) // with decays
@group(0) @binding(8) var<storage, read_write> carried: array<vec4f>;

// Eight keys of a token, 0 past the chunk's end.
fn own_row(at: u32, inside: bool) -> Row {
  return Row(select(vec4f(), vec4f(decayed[at]), inside), select(vec4f(), vec4f(decayed[at + 1u]), inside));
}

fn store(row: u32, last: u32, column: u32, keys: Row) {
  if (row <= last) {
    let slot = row * shape.heads * shape.key_vectors + column;
    gradient[slot] = keys[0];
    gradient[slot + 1u] = keys[1];
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn input_gradient(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local.x;
  let reversed = shape.reversed == 1u;
  let tiles = shape.key_vectors / 2u;
  let key_vector = index % tiles * 2u;
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

  var x_at: array<u32, BLOCK>;
  var sums: array<Row, BLOCK>;
  @unroll
  for (var i = 0u; i < BLOCK; i++) {
    x_at[i] = (min(first + i, last) * shape.heads + head) * shape.value_vectors;
  }
  let state = ((chunk * shape.heads + head) * shape.key_vectors + key_vector) * 4u *
    shape.value_vectors;
  let line = state + vec4u(0u, 1u, 2u, 3u) * shape.value_vectors;
  let next_line = line + 4u * shape.value_vectors;
  for (var vector = 0u; vector < shape.value_vectors; vector++) {
    let low = mat4x4f(
      states[line.x + vector],
      states[line.y + vector],
      states[line.z + vector],
      states[line.w + vector],
    );
    let high = mat4x4f(
      states[next_line.x + vector],
      states[next_line.y + vector],
      states[next_line.z + vector],
      states[next_line.w + vector],
    );
    @unroll
    for (var i = 0u; i < BLOCK; i++) {
      let x = vec4f(rows_of_values[x_at[i] + vector]);
      sums[i] += Row(x * low, x * high);
    }
  }
  @unroll
  for (var i = 0u; i < BLOCK; i++) {
    sums[i] *= shape.scale;
  }

  let other_head = head / (shape.heads / shape.other_heads);
  let stride = shape.other_heads * shape.key_vectors;
  let column = other_head * shape.key_vectors + key_vector;
  @if(HAS_CARRIED)
  var own: array<Row, BLOCK>;
  @if(HAS_CARRIED)
  @unroll
  for (var i = 0u; i < BLOCK; i++) {
    let at = u32(shape.own_offset) + column + min(first + i, last) * stride;
    own[i] = own_row(at, first + i <= last);
  }
  let used_blocks = (rows.y - rows.x + 7u) / 8u;
  let line_vectors = shape.blocks * 2u;
  let copy = select(0u, shape.chunks, reversed);
  let score_line = (((copy + chunk) * shape.heads + head) * shape.blocks + block) * 8u * line_vectors;
  @if(HAS_DECAYS)
  let included = 0u; // block_gradient sees to the own block
  @else
  let included = 1u;
  let steps = select(block, used_blocks - 1u - block, reversed) + included;
  for (var step = 0u; step <= steps; step++) {
    @if(HAS_CARRIED)
    if (!reversed || step == 0u) {
      var sum = Row();
      @unroll
      for (var i = 0u; i < BLOCK; i++) {
        sum += Row(own[i][0] * sums[i][0], own[i][1] * sums[i][1]);
      }
      var slot = ((chunk * shape.blocks + block) * shape.heads + head) * shape.key_vectors + key_vector;
      if (!reversed) {
        slot = (((chunk * shape.blocks + block) * shape.heads + head) * shape.blocks + step) *
          shape.key_vectors + key_vector;
      }
      carried[slot] = sum[0];
      carried[slot + 1u] = sum[1];
    }
    if (step == steps) {
      break;
    }
    let other = select(step, used_blocks - 1u - step, reversed);
    @if(HAS_DECAYS) {
      let slot = (((chunk * shape.blocks + other) * shape.heads + head) * 3u + 1u) *
        shape.key_vectors + key_vector;
      @unroll
      for (var i = 0u; i < BLOCK; i++) {
        sums[i] = Row(sums[i][0] * decays[slot], sums[i][1] * decays[slot + 1u]);
      }
    }
    for (var vector = other * 2u; vector < other * 2u + 2u; vector++) {
      let at = u32(shape.other_offset) + column +
        min(rows.x + vector * 4u + vec4u(0u, 1u, 2u, 3u), vec4u(last)) * stride;
      let low = mat4x4f(
        vec4f(decayed[at.x]),
        vec4f(decayed[at.y]),
        vec4f(decayed[at.z]),
        vec4f(decayed[at.w]),
      );
      let high = mat4x4f(
        vec4f(decayed[at.x + 1u]),
        vec4f(decayed[at.y + 1u]),
        vec4f(decayed[at.z + 1u]),
        vec4f(decayed[at.w + 1u]),
      );
      @unroll
      for (var i = 0u; i < BLOCK; i++) {
        let x = scores[score_line + i * line_vectors + vector];
        sums[i] += Row(low * x, high * x);
      }
    }
  }
  let target_column = head * shape.key_vectors + key_vector;
  @unroll
  for (var i = 0u; i < BLOCK; i++) {
    store(first + i, last, target_column, sums[i]);
  }
}
