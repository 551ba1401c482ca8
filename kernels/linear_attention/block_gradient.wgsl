// What the tokens of a block of 8 do to each other's gradients, and the decay to the borders of the
// block; the gradients hold what comes from outside it. With E_ij = exp(sum of g from j + 1 to i) and
// B_ij = SCALE * output_gradient_i · value_j, for j ≤ i in the block and each key alone:
//   query_gradient_i = exp(sum of g from the block's start to i) * query_gradient_i + sum_j B_ij E_ij key_j
//   key_gradient_j = exp(sum of g after j) * key_gradient_j + sum_i B_ij E_ij query_i
//   log_decay_gradient_t += sum of the parts of query_i * query_gradient_i from before the block, i ≥ t
//                         + sum of the parts of key_j * key_gradient_j from after the block, j < t
//                         + sum of query_i B_ij E_ij key_j for j < t ≤ i
// With BONUS an output reads the state before its token's update: E stops before i, j < i, t < i.
// Nothing is subtracted. j walks back, E_ij of all rows i with it.
// Dispatch: one invocation per chunk, block, head and 4 keys.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::linear_attention::chunks::block_of;
import package::linear_attention::dimension::{BONUS, Dimension, add_token, finish};
import package::linear_attention::rows::{
  decay_of, gradient_at, input_at, input_start, key, log_decay_at, own_scores_at, query, shape,
};
import package::linear_attention::tile::{BLOCK, HIGH, LOW, Row, by_key, by_token};

@group(0) @binding(5) var<storage, read> scores: array<vec4f>; // [2, chunks, heads, 8 * blocks, 2 * blocks]
@group(0) @binding(6) var<storage, read_write> query_gradient: array<vec4f>; // [rows, heads, key_vectors]
@group(0) @binding(7) var<storage, read_write> key_gradient: array<vec4f>; // [rows, heads, key_vectors]
@group(0) @binding(8) var<storage, read_write> log_decay_gradient: array<vec4f>; // [rows, heads, key_vectors]

@compute @workgroup_size(WORKGROUP_SIZE)
fn block_gradient(invocation: Invocation) {
  let index = number_of(invocation);
  let block = block_of(index, shape.chunks, shape.blocks, shape.heads, shape.key_vectors);
  if (block.first >= block.end) {
    return;
  }
  let count = min(BLOCK, block.end - block.first);
  let start = input_start(block);
  var queries: array<vec4f, BLOCK>;
  @unroll
  for (var i = 0u; i < BLOCK; i++) {
    let row = min(block.first + i, block.end - 1u);
    queries[i] = select(vec4f(), vec4f(query[input_at(start, row)]), i < count);
  }
  let query_by_key = by_key(queries);
  let ones = Row(vec4f(1.0), vec4f(1.0));
  var dimensions: array<Dimension, 4>;
  @unroll
  for (var k = 0u; k < 4u; k++) {
    dimensions[k] = Dimension(query_by_key[k], ones, Row(), Row(), 1.0, 0.0);
  }

  for (var step = 0u; step < count; step++) {
    let j = count - 1u - step;
    let row = block.first + j;
    let key_j = vec4f(key[input_at(start, row)]);
    let decay = decay_of(log_decay_at(block, row));
    let slot = gradient_at(block, row);
    let outside = key_gradient[slot];
    let at = own_scores_at(block, j, true);
    var b = Row(scores[at], scores[at + 1u]);
    if (BONUS) {
      b = Row(
        select(b[0], vec4f(), LOW == vec4u(j)),
        select(b[1], vec4f(), HIGH == vec4u(j)),
      );
    }
    var gradient: vec4f;
    @unroll
    for (var k = 0u; k < 4u; k++) {
      dimensions[k] = add_token(dimensions[k], j, key_j[k], decay[k], outside[k], b);
      gradient[k] = dimensions[k].key_gradient;
    }
    key_gradient[slot] = gradient;
  }

  var outside: array<vec4f, BLOCK>;
  @unroll
  for (var i = 0u; i < BLOCK; i++) {
    outside[i] = query_gradient[gradient_at(block, block.first + min(i, count - 1u))];
  }
  let outside_by_key = by_key(outside);
  var query_gradients: array<Row, 4>;
  var log_decay_gradients: array<Row, 4>;
  @unroll
  for (var k = 0u; k < 4u; k++) {
    let finished = finish(dimensions[k], outside_by_key[k]);
    query_gradients[k] = finished.query_gradient;
    log_decay_gradients[k] = finished.log_decay_gradient;
  }
  let query_by_token = by_token(query_gradients);
  let log_decay_by_token = by_token(log_decay_gradients);
  @unroll
  for (var i = 0u; i < BLOCK; i++) {
    if (i < count) {
      let slot = gradient_at(block, block.first + i);
      query_gradient[slot] = query_by_token[i];
      log_decay_gradient[slot] += log_decay_by_token[i];
    }
  }
}
