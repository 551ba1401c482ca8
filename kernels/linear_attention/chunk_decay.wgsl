// Queries and keys decayed to the borders of their block, and the blocks' own decays:
//   decayed_query_i = query_i * exp(sum of g from the block's start to i)
//   decayed_key_j = key_j * exp(sum of g after j to the block's end)
// With READS_BEFORE the output reads the state before the token's own update: the query's sum stops
// before i. Sums of values ≤ 0: no exponent is taken of a difference.
// Dispatch: one invocation per chunk, head and 4 keys.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::linear_attention::chunks::{AFTER, BEFORE, WITHIN, decays_at};
import package::linear_attention::rows::{
  chunk_of_keys, decay_of, gradient_at, input_at, input_start, key, log_decay_at, query, shape,
};
import package::linear_attention::tile::BLOCK;

override READS_BEFORE: bool = false;

@group(0) @binding(5) var<storage, read_write> decayed: array<vec4f>; // [query and key, rows, heads, key_vectors]
@group(0) @binding(6) var<storage, read_write> decays: array<vec4f>; // [chunks, blocks, heads, 3, key_vectors]

fn slot_of(block: u32, head: u32, part: u32) -> u32 {
  return decays_at(block, head, part, shape.heads, shape.key_vectors);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn chunk_decay(invocation: Invocation) {
  let chunk = chunk_of_keys(invocation);
  if (chunk.first >= chunk.end) {
    return;
  }
  let first_block = chunk.chunk * shape.blocks;
  let start = input_start(chunk);

  var before = vec4f();
  for (var block = 0u; block < shape.blocks; block++) {
    let first = min(chunk.first + block * BLOCK, chunk.end);
    let end = min(first + BLOCK, chunk.end);
    var sum = vec4f();
    for (var row = first; row < end; row++) {
      let read_sum = sum;
      sum += log_decay_at(chunk, row);
      decayed[gradient_at(chunk, row - shape.first_row)] =
        vec4f(query[input_at(start, row)]) * decay_of(select(sum, read_sum, READS_BEFORE));
    }
    decays[slot_of(first_block + block, chunk.head, BEFORE) + chunk.vector] = decay_of(before);
    decays[slot_of(first_block + block, chunk.head, WITHIN) + chunk.vector] = decay_of(sum);
    before += sum;
  }

  var after = vec4f();
  for (var block = shape.blocks; block > 0u; block--) {
    let first = min(chunk.first + (block - 1u) * BLOCK, chunk.end);
    let end = min(first + BLOCK, chunk.end);
    var sum = vec4f();
    for (var row = end; row > first; row--) {
      decayed[gradient_at(chunk, shape.rows + row - 1u - shape.first_row)] =
        vec4f(key[input_at(start, row - 1u)]) * decay_of(sum);
      sum += log_decay_at(chunk, row - 1u);
    }
    decays[slot_of(first_block + block - 1u, chunk.head, AFTER) + chunk.vector] = decay_of(after);
    after += sum;
  }
}
