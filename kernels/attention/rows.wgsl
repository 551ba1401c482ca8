// Attention in registers: an invocation holds ROWS rows, of queries or of keys, and LANES invocations of a
// workgroup walk the same rows of the other side. Where sequences are short, a workgroup has several tiles.

import package::attention::logits::{BLOCK, dot_add};
import package::attention::problem::tile_of;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of, workgroup_of};

override LANES: u32 = 8u; // invocations that walk together; they divide WORKGROUP_SIZE

@link const ROWS: u32 = 4u; // of an invocation

struct Rows {
  batch: u32, // past the last where there are no rows
  head: u32,
  first: i32, // of the invocation
  walk_first: i32, // of all that walk together
  walk_end: i32, // one past the last of them
}

// Dispatch: one invocation per LANES-th of a tile, of batch * heads * ceil(time / (LANES * ROWS)); folded.
fn rows_of(invocation: Invocation, time: i32, heads: u32) -> Rows {
  let together = LANES * ROWS;
  var number = workgroup_of(invocation); // where it has one tile, the same for all
  if (LANES < WORKGROUP_SIZE) {
    number = number_of(invocation) / LANES;
  }
  let tile = tile_of(number, time, together, heads);
  let first = tile.first + i32(invocation.local % LANES * ROWS);
  return Rows(tile.batch, tile.head, first, tile.first, min(tile.first + i32(together), time));
}

// A sum of products as it is made: the blocks so far, and the block at hand.
alias Sum = vec2f;

// Adds the product of vec4 `d` of two rows of `vectors`.
fn add_product(sum: Sum, a: vec4f, b: vec4f, d: u32, vectors: u32) -> Sum {
  let block = dot_add(a, b, sum.y);
  if (d % BLOCK == BLOCK - 1u || d == vectors - 1u) {
    return Sum(sum.x + block, 0.0);
  }
  return Sum(sum.x, block);
}
