// Chunks of tokens and their blocks: which of them an invocation has, and where things about them lie.

import package::linear_attention::tile::{BLOCK, FOURS, LOW};

@group(0) @binding(1) var<storage, read> chunks: array<vec2u>; // [chunks]: first row, end

struct Block {
  chunk: u32,
  number: u32, // of the chunk's blocks
  head: u32,
  vector: u32,
  start: u32, // the chunk's first row
  first: u32, // the block's; not before `end` where there is no such block
  end: u32, // of the chunk
}

// The block of an invocation by its number in [chunks, blocks, heads, vectors].
fn block_of(index: u32, count: u32, blocks: u32, heads: u32, vectors: u32) -> Block {
  let chunk = index / (vectors * heads * blocks);
  if (chunk >= count) {
    return Block();
  }
  let number = index / (vectors * heads) % blocks;
  let rows = chunks[chunk];
  let first = rows.x + number * BLOCK;
  return Block(chunk, number, index / vectors % heads, index % vectors, rows.x, first, rows.y);
}

// The chunk's blocks that have tokens.
fn used_blocks(block: Block) -> u32 {
  return (block.end - block.start + BLOCK - 1u) / BLOCK;
}

// Four of the chunk's rows, from the four with this number; the last where there is none.
fn four_rows(block: Block, four: u32) -> vec4u {
  return min(block.start + four * 4u + LOW, vec4u(block.end - 1u));
}

// Parts of a block's decays: [chunks, blocks, heads, 3, key_vectors].
const BEFORE = 0u; // from the chunk's start to the block's
const WITHIN = 1u; // the block's own
const AFTER = 2u; // from its end to the chunk's

// Where a part of the decays of a block, by its number in [chunks, blocks], begins.
fn decays_at(block: u32, head: u32, part: u32, heads: u32, vectors: u32) -> u32 {
  return ((block * heads + head) * 3u + part) * vectors;
}

// Where scores of a chunk and head begin, or those of a copy's: [copies, chunks, heads, 8 * blocks, 2 * blocks].
fn scores_at(chunk: u32, head: u32, heads: u32, blocks: u32) -> u32 {
  return (chunk * heads + head) * blocks * BLOCK * blocks * FOURS;
}
