// What the products over whole chunks share: decayed rows of queries or keys, rows of values, scores between
// tokens and states; and how four tokens of a chunk, or four keys of a state, are fetched.

import package::common::invocations::{Invocation, number_of};
import package::linear_attention::chunks::{Block, block_of, decays_at, scores_at};
import package::linear_attention::tile::{BLOCK, FOURS, Strip};

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
  own_offset: i32, // where the same tensor has the other kind of rows too: of their row 0
  backward: u32, // 0 or 1
  scale: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> a: array<vec4<DecayedElement>>; // [.., rows, a_heads, key_vectors]
@if(HAS_DECAYS)
@group(0) @binding(3) var<storage, read> decays: array<vec4f>; // [chunks, blocks, heads, 3, key_vectors]
@group(0) @binding(4) var<storage, read> value: array<vec4<Element>>; // [rows, heads, value_vectors]
@group(0) @binding(5) var<storage, read> scores: array<vec4f>; // [(2), chunks, heads, 8 * blocks, 2 * blocks]
@if(HAS_STATES)
@group(0) @binding(6) var<storage, read> states: array<vec4f>; // [chunks, heads, keys, value_vectors]

// A block of tokens, and FOURS of so many vectors.
fn block_tile(invocation: Invocation, vectors: u32) -> Block {
  var block = block_of(number_of(invocation), shape.chunks, shape.blocks, shape.heads, vectors / FOURS);
  block.vector *= FOURS;
  return block;
}

// Where row 0 of a head is in a tensor like a, by where row 0 is.
fn a_start(offset: i32, head: u32) -> u32 {
  return u32(offset) + head / (shape.heads / shape.a_heads) * shape.key_vectors;
}

fn part_of_decays(chunk: u32, block: u32, head: u32, part: u32) -> u32 {
  return decays_at(chunk * shape.blocks + block, head, part, shape.heads, shape.key_vectors);
}

// The state of a chunk and head.
fn state_at(chunk: u32, head: u32) -> u32 {
  return (chunk * shape.heads + head) * shape.key_vectors * 4u * shape.value_vectors;
}

// The line of scores of a block's first token; of the transposed copy where the pass is backward.
fn score_line(block: Block) -> u32 {
  let chunk = block.chunk + select(0u, shape.chunks, shape.backward == 1u);
  return scores_at(chunk, block.head, shape.heads, shape.blocks) +
    block.number * BLOCK * shape.blocks * FOURS;
}

// Eight numbers of each of four rows, which begin at `at`.
fn strip_of_a(at: vec4u) -> Strip {
  return Strip(
    mat4x4f(vec4f(a[at.x]), vec4f(a[at.y]), vec4f(a[at.z]), vec4f(a[at.w])),
    mat4x4f(vec4f(a[at.x + 1u]), vec4f(a[at.y + 1u]), vec4f(a[at.z + 1u]), vec4f(a[at.w + 1u])),
  );
}

fn strip_of_values(at: vec4u) -> Strip {
  return Strip(
    mat4x4f(vec4f(value[at.x]), vec4f(value[at.y]), vec4f(value[at.z]), vec4f(value[at.w])),
    mat4x4f(
      vec4f(value[at.x + 1u]), vec4f(value[at.y + 1u]), vec4f(value[at.z + 1u]), vec4f(value[at.w + 1u]),
    ),
  );
}
