// The rest of the decay's gradient that head_scores leaves, of pairs of which j is in an earlier block than t:
//   log_decay_gradient_t += sum over the earlier blocks and over i ≥ t of what they carried
// Dispatch: one invocation per chunk and head.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::linear_attention::chunks::{block_of, used_blocks};
import package::linear_attention::tile::BLOCK;

struct Shape {
  chunks: u32,
  heads: u32,
  blocks: u32, // in a chunk
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> carried: array<f32>; // [chunks, heads, blocks, 8 * blocks]
@group(0) @binding(3) var<storage, read_write> log_decay_gradient: array<f32>; // [rows, heads]

@compute @workgroup_size(WORKGROUP_SIZE)
fn head_decay_gradient(invocation: Invocation) {
  let chunk = block_of(number_of(invocation), shape.chunks, 1u, shape.heads, 1u);
  if (chunk.first >= chunk.end) {
    return;
  }
  let blocks = used_blocks(chunk);
  for (var block = 0u; block < blocks; block++) {
    let line = ((chunk.chunk * shape.heads + chunk.head) * shape.blocks + block) * shape.blocks * BLOCK;
    var sum = 0.0;
    for (var row = chunk.end; row > chunk.start + (block + 1u) * BLOCK; row--) {
      sum += carried[line + row - 1u - chunk.start];
      log_decay_gradient[(row - 1u) * shape.heads + chunk.head] += sum;
    }
  }
}
