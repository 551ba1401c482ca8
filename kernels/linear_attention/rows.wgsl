// Queries and keys as the caller gives them, with their decays, and where an invocation's block is.

import package::common::exponential::{exponential, exponential_quad};
import package::common::invocations::{Invocation, number_of};
import package::linear_attention::chunks::{Block, block_of, scores_at};
import package::linear_attention::tile::{BLOCK, FOURS};

override PER_KEY: bool = true; // log_decay per key; else per head

@link
alias Element = f32; // or f16: how the caller's rows are stored; all arithmetic is in f32

struct Shape {
  chunks: u32,
  heads: u32,
  groups: u32,
  key_vectors: u32,
  blocks: u32, // in a chunk
  first_chunk: u32, // of this slab, in all
  first_row: u32,
  rows: u32,
  transposed: u32, // 0 or 1: whether scores are written transposed as well
  scale: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> query: array<vec4<Element>>; // [rows, groups, key_vectors]
@group(0) @binding(3) var<storage, read> key: array<vec4<Element>>; // [rows, groups, key_vectors]
@group(0) @binding(4) var<storage, read> log_decay: array<vec4f>; // [rows, heads, (keys)]

// By the number in [chunks, heads, key_vectors] of an invocation that has a whole chunk.
fn chunk_of_keys(invocation: Invocation) -> Block {
  return block_of(number_of(invocation), shape.chunks, 1u, shape.heads, shape.key_vectors);
}

// Where a block's head and vector are in a row of queries and keys. Kept out of loops, as it divides.
fn input_start(block: Block) -> u32 {
  return block.head / (shape.heads / shape.groups) * shape.key_vectors + block.vector;
}

// Where they are in all rows.
fn input_at(start: u32, row: u32) -> u32 {
  return row * shape.groups * shape.key_vectors + start;
}

// The same in [rows, heads, key_vectors].
fn gradient_at(block: Block, row: u32) -> u32 {
  return (row * shape.heads + block.head) * shape.key_vectors + block.vector;
}

fn log_decay_at(block: Block, row: u32) -> vec4f {
  if (PER_KEY) {
    return log_decay[gradient_at(block, row)];
  }
  let index = row * shape.heads + block.head;
  return vec4f(log_decay[index / 4u][index % 4u]);
}

// The decay of a sum of log decays, which are equal where there is one per head.
fn decay_of(sum: vec4f) -> vec4f {
  if (PER_KEY) {
    return exponential_quad(sum);
  }
  return vec4f(exponential(sum.x));
}

// The scores of a token with its own block, by its place in the block; with `transposed` in the second copy.
fn own_scores_at(block: Block, token: u32, transposed: bool) -> u32 {
  let chunk = block.chunk + select(0u, shape.chunks, transposed);
  let line = block.number * BLOCK + token;
  return scores_at(chunk, block.head, shape.heads, shape.blocks) + line * shape.blocks * FOURS +
    block.number * FOURS;
}
