// Scores inside a block with decay:
//   score_ij = scale * sum over k of query_ik * key_jk * exp(sum of g from j + 1 to i), for j ≤ i.
// j walks back; row i's query carries the product of the decays from j + 1 to i, each ≤ 1.
// With a bonus the output reads the state before the token's update: the decays stop before i, and
// score_ii = scale * sum over k of query_ik * bonus_k * key_ik.
// Dispatch: one invocation per chunk, block and head.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::linear_attention::chunks::block_of;
import package::linear_attention::rows::{
  PER_KEY, decay_of, input_at, input_start, key, log_decay_at, own_scores_at, query, shape,
};
import package::linear_attention::tile::{BLOCK, FOURS, HIGH, LOW, Row, by_key, products, transposed_half};

@if(HAS_BONUS)
@group(0) @binding(5) var<storage, read> bonus: array<vec4f>; // [heads, key_vectors]
@group(0) @binding(6) var<storage, read_write> scores: array<vec4f>; // [(2), chunks, heads, 8 * blocks, 2 * blocks]

// Whether the output reads the state before the token's update.
@if(HAS_BONUS)
const BONUS = true;
@else
const BONUS = false;

// Multiplies the rows after j by `later`, and row j by `own`.
fn scale_rows(x: Row, j: u32, own: f32, later: f32) -> Row {
  return products(x, Row(row_factors(LOW, j, own, later), row_factors(HIGH, j, own, later)));
}

fn row_factors(i: vec4u, j: u32, own: f32, later: f32) -> vec4f {
  return select(
    select(vec4f(1.0), vec4f(later), i > vec4u(j)),
    vec4f(own),
    i == vec4u(j),
  );
}

// Column j of the tile: 0 in rows above the diagonal or past the chunk's end.
fn masked(column: Row, j: u32, count: u32) -> Row {
  return Row(
    select(vec4f(), shape.scale * column[0], (LOW >= vec4u(j)) & (LOW < vec4u(count))),
    select(vec4f(), shape.scale * column[1], (HIGH >= vec4u(j)) & (HIGH < vec4u(count))),
  );
}

fn store(slot: u32, low: vec4f, high: vec4f) {
  scores[slot] = low;
  scores[slot + 1u] = high;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn diagonal_scores(invocation: Invocation) {
  var block = block_of(number_of(invocation), shape.chunks, shape.blocks, shape.heads, 1u);
  if (block.first >= block.end) {
    return;
  }
  let start = input_start(block);
  var decays: array<vec4f, BLOCK>;
  if (!PER_KEY) {
    @unroll
    for (var i = 0u; i < BLOCK; i++) {
      decays[i] = decay_of(log_decay_at(block, min(block.first + i, block.end - 1u)));
    }
  }
  var columns: array<Row, BLOCK>; // column j of the tile: its rows i
  for (; block.vector < shape.key_vectors; block.vector++) {
    var queries: array<vec4f, BLOCK>;
    var keys: array<vec4f, BLOCK>;
    @unroll
    for (var i = 0u; i < BLOCK; i++) {
      let row = min(block.first + i, block.end - 1u);
      queries[i] = vec4f(query[input_at(start + block.vector, row)]);
      keys[i] = vec4f(key[input_at(start + block.vector, row)]);
      if (PER_KEY) {
        decays[i] = decay_of(log_decay_at(block, row));
      }
    }
    let query_by_key = by_key(queries);
    var u = vec4f(1.0);
    @if(HAS_BONUS)
    u = bonus[block.head * shape.key_vectors + block.vector];
    // Rows above j gather garbage in column j, and are masked when stored.
    @unroll
    for (var k = 0u; k < 4u; k++) {
      var decayed = query_by_key[k];
      @unroll
      for (var n = 0u; n < BLOCK; n++) {
        const j = BLOCK - 1u - n; // walks back
        columns[j] += scale_rows(decayed, j, u[k], 1.0) * keys[j][k];
        let decay = decays[j][k];
        decayed = scale_rows(decayed, j, select(decay, 1.0, BONUS), decay);
      }
    }
  }

  let count = block.end - block.first;
  @unroll
  for (var j = 0u; j < BLOCK; j++) {
    columns[j] = masked(columns[j], j, count);
    if (shape.transposed == 1u) {
      store(own_scores_at(block, j, true), columns[j][0], columns[j][1]);
    }
  }
  @unroll
  for (var half = 0u; half < FOURS; half++) {
    let rows = transposed_half(columns, half);
    @unroll
    for (var i = 0u; i < 4u; i++) {
      store(own_scores_at(block, 4u * half + i, false), rows.low[i], rows.high[i]);
    }
  }
}
