// The bonus of each token's own update: with B_ii = SCALE * output_gradient_i · value_i,
//   query_gradient_i += B_ii * bonus * key_i,  key_gradient_i += B_ii * bonus * query_i
//   partial = sum over the chunk's tokens of B_ii * query_i * key_i
// Dispatch: one invocation per chunk, head and 4 keys.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::linear_attention::chunks::scores_at;
import package::linear_attention::rows::{
  chunk_of_keys, gradient_at, input_at, input_start, key, query, shape,
};
import package::linear_attention::tile::FOURS;

@group(0) @binding(4) var<storage, read> bonus: array<vec4f>; // [heads, key_vectors]
@group(0) @binding(5) var<storage, read> scores: array<vec4f>; // [2, chunks, heads, 8 * blocks, 2 * blocks]
@group(0) @binding(6) var<storage, read_write> query_gradient: array<vec4f>; // [rows, heads, key_vectors]
@group(0) @binding(7) var<storage, read_write> key_gradient: array<vec4f>; // [rows, heads, key_vectors]
@group(0) @binding(8) var<storage, read_write> partial: array<vec4f>; // [chunks of all slabs, heads, key_vectors]

@compute @workgroup_size(WORKGROUP_SIZE)
fn bonus_gradient(invocation: Invocation) {
  let chunk = chunk_of_keys(invocation);
  if (chunk.first >= chunk.end) {
    return;
  }
  let u = bonus[chunk.head * shape.key_vectors + chunk.vector];
  let first_score = scores_at(chunk.chunk, chunk.head, shape.heads, shape.blocks);
  let start = input_start(chunk);
  var sum = vec4f();
  for (var row = chunk.first; row < chunk.end; row++) {
    let i = row - chunk.first;
    let b = scores[first_score + i * shape.blocks * FOURS + i / 4u][i % 4u];
    let source = input_at(start, row);
    let slot = gradient_at(chunk, row);
    let q = vec4f(query[source]);
    let k = vec4f(key[source]);
    query_gradient[slot] += b * u * k;
    key_gradient[slot] += b * u * q;
    sum += b * q * k;
  }
  partial[gradient_at(chunk, shape.first_chunk + chunk.chunk)] = sum;
}
