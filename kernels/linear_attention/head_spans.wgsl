// What is left of a head's state over parts of a chunk, where its keys decay alike:
//   from_start_i = exp(sum of g from the chunk's start to i),  to_end_j = exp(sum of g after j)
// Past a chunk's end from_start stays as it was, so that its last is the chunk's own decay, and to_end is 0.
// Dispatch: one invocation per chunk and head.

import package::common::exponential::exponential_quad;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::linear_attention::chunks::{Block, block_of};
import package::linear_attention::tile::FOURS;

struct Shape {
  chunks: u32,
  heads: u32,
  blocks: u32, // in a chunk
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> log_decay: array<f32>; // [rows, heads]
@group(0) @binding(3) var<storage, read_write> from_start: array<vec4f>; // [chunks, heads, 2 * blocks]
@group(0) @binding(4) var<storage, read_write> to_end: array<vec4f>; // [chunks, heads, 2 * blocks]

fn log_decay_at(chunk: Block, row: u32) -> f32 {
  return select(0.0, log_decay[min(row, chunk.end - 1u) * shape.heads + chunk.head], row < chunk.end);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn head_spans(invocation: Invocation) {
  let chunk = block_of(number_of(invocation), shape.chunks, 1u, shape.heads, 1u);
  if (chunk.first >= chunk.end) {
    return;
  }
  let fours = shape.blocks * FOURS;
  let start = (chunk.chunk * shape.heads + chunk.head) * fours;
  var sum = 0.0;
  for (var four = 0u; four < fours; four++) {
    var sums: vec4f;
    @unroll
    for (var i = 0u; i < 4u; i++) {
      sum += log_decay_at(chunk, chunk.first + 4u * four + i);
      sums[i] = sum;
    }
    from_start[start + four] = exponential_quad(sums);
  }
  sum = 0.0;
  for (var four = fours; four > 0u; four--) {
    let rows = chunk.first + 4u * (four - 1u) + vec4u(0u, 1u, 2u, 3u);
    var sums: vec4f;
    @unroll
    for (var n = 0u; n < 4u; n++) {
      sums[3u - n] = sum;
      sum += log_decay_at(chunk, rows[3u - n]);
    }
    to_end[start + four - 1u] = select(vec4f(), exponential_quad(sums), rows < vec4u(chunk.end));
  }
}
