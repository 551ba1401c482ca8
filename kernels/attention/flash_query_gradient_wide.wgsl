// Query gradient of softmax attention, as flash_query_gradient_tiles, with tiles of 64 queries by 64 keys, of which an
// invocation has 8 × 8. Its probabilities wait in workgroup memory for the gradients that they are multiplied by.
// Dispatch: batch * heads * ceil(query_time / TILE) workgroups, folded.

import package::attention::logits::{BLOCK, cap, cap_slope, logit_of, probability};
import package::attention::problem::{Element, HEAD, VALUE, alibi_slope, query_row, shape, term_row};
import package::attention::terms::{Terms, terms, visible_to};
import package::attention::tiles::{key_at, queries_of, value_at};
import package::attention::tiles_backward::y_gradient_at;
import package::attention::visibility::{end_of_part, next_key, sees, sees_any, walk_of};
import package::attention::wide::{
  ACROSS, INVOCATIONS, Pairs, Rows, SEEN_WHOLE, SIDE, STEP, SUMMED, SUMMED_ROWS, Seen, Sums, TILE, add_products,
  add_weighted, column_at, factors, factors_at, join_blocks, query_key_products, row_at, row_of, seen_of, staged,
  store_seen, sum_columns, summed_at, with_seen,
};
import package::common::workgroups::Workgroup;

@link const HEAD_BLOCKS: u32 = 1u; // ceil(HEAD / SUMMED)

@group(0) @binding(7) var<storage, read_write> query_gradient: array<vec4<Element>>; // [batch, query_time, heads, HEAD]
@group(0) @binding(8) var<storage, read_write> normalized_terms: array<Terms>; // [batch, heads, query_time]

@compute @workgroup_size(ACROSS, ACROSS)
fn flash_query_gradient_wide(workgroup: Workgroup, @builtin(local_invocation_id) local: vec3u) {
  let queries = queries_of(workgroup, TILE);
  if (queries.batch >= shape.batch) {
    return;
  }
  let batch = queries.batch;
  let head = queries.head;
  let slope = alibi_slope(head);
  let index = local.y * ACROSS + local.x;

  var dq: array<Sums, HEAD_BLOCKS>;
  var log_sum_exp: Rows;
  var delta: Rows;
  var normalizer: Rows; // over the keys of this invocation
  @unroll for (var r = 0u; r < SIDE; r++) {
    let at = term_row(batch, min(queries.first + i32(row_of(local.y, r)), queries.last), head);
    log_sum_exp[r / 4u][r % 4u] = terms[at].log_sum_exp;
    delta[r / 4u][r % 4u] = terms[at].delta;
    @if(CONTINUES)
    normalizer[r / 4u][r % 4u] = select(0.0, normalized_terms[at].normalizer, local.x == 0u);
  }

  let first_visible = visible_to(queries.first, term_row(batch, queries.first, head));
  let last_visible = visible_to(queries.last, term_row(batch, queries.last, head));
  let walk = walk_of(first_visible, last_visible);
  var k = walk.first;
  while (k < walk.end) {
    let limit = end_of_part(walk, k);
    let seen_whole = k >= last_visible.low && k + i32(TILE) <= min(first_visible.high, limit);

    let scores = query_key_products(local, queries, k, limit - 1);

    var seen = SEEN_WHOLE;
    if (!seen_whole) {
      seen = Seen();
      @unroll for (var r = 0u; r < SIDE; r++) {
        let time = min(queries.first + i32(row_of(local.y, r)), queries.last);
        let visible = visible_to(time, term_row(batch, time, head));
        @unroll for (var j = 0u; j < SIDE; j++) {
          let at = k + i32(local.x + j * ACROSS);
          seen = with_seen(seen, j, r, (at < limit) & sees(visible, at));
        }
      }
      store_seen(local, seen);
    }
    @unroll for (var j = 0u; j < SIDE; j++) {
      @unroll for (var f = 0u; f < 2u; f++) {
        var p: vec4f;
        var factor: vec4f;
        @unroll for (var i = 0u; i < 4u; i++) {
          let capped = cap(scores[2u * j + f][i]);
          let position = queries.first + i32(row_of(local.y, 4u * f + i)) + shape.query_offset;
          let distance = position - k - i32(local.x + j * ACROSS);
          p[i] = probability(logit_of(capped, distance, slope), log_sum_exp[f][i]);
          factor[i] = p[i] * cap_slope(capped);
        }
        normalizer[f] += select(vec4f(), p, seen_of(seen, j, f));
        factors[factors_at(local, j, f)] = factor;
      }
    }

    var dp = Pairs();
    for (var block = 0u; block < VALUE; block += BLOCK) {
      var sum = Pairs();
      for (var begin = block; begin < min(block + BLOCK, VALUE); begin += STEP) {
        workgroupBarrier();
        for (var i = index; i < TILE * STEP; i += INVOCATIONS) {
          let row = i32(i / STEP);
          let column = begin + i % STEP;
          staged[row_at(i)] = y_gradient_at(batch, min(queries.first + row, queries.last), head, column);
          staged[column_at(i)] = value_at(batch, min(k + row, limit - 1), queries.key_head, column);
        }
        workgroupBarrier();
        sum = add_products(local, sum);
      }
      dp = join_blocks(dp, sum);
    }
    @unroll for (var j = 0u; j < SIDE; j++) {
      @unroll for (var f = 0u; f < 2u; f++) {
        factors[factors_at(local, j, f)] *= dp[2u * j + f] - delta[f];
      }
    }

    @unroll for (var block = 0u; block < HEAD_BLOCKS; block++) {
      for (var first = 0u; first < TILE; first += SUMMED_ROWS) {
        workgroupBarrier();
        for (var i = index; i < SUMMED_ROWS * SUMMED; i += INVOCATIONS) {
          let time = min(k + i32(first + i / SUMMED), limit - 1);
          staged[summed_at(i)] = key_at(batch, time, queries.key_head, block * SUMMED + i % SUMMED);
        }
        workgroupBarrier();
        dq[block] = add_weighted(local, first, seen_whole, dq[block]);
      }
    }
    k = next_key(walk, k, i32(TILE));
  }

  normalizer = sum_columns(local, normalizer);
  let is_last_walk = shape.walk_last == shape.key_length; // whose normalizer is that of all keys
  @unroll for (var r = 0u; r < SIDE; r++) {
    let time = queries.first + i32(row_of(local.y, r));
    if (time < shape.query_time) {
      let term_at = term_row(batch, time, head);
      let any = sees_any(visible_to(time, term_at), shape.key_length);
      let total = normalizer[r / 4u][r % 4u];
      let factor = select(1.0, select(0.0, 1.0 / total, any), is_last_walk);
      @unroll for (var g = 0u; g < 2u * HEAD_BLOCKS; g++) {
        let column = g * ACROSS + local.x;
        if (column < HEAD) {
          let at = query_row(batch, time, head) * HEAD + column;
          var sum = dq[g / 2u][g % 2u * SIDE + r] * shape.scale;
          @if(CONTINUES)
          sum += vec4f(query_gradient[at]);
          query_gradient[at] = vec4<Element>(sum * factor);
        }
      }
      if (local.x == 0u) {
        var term = terms[term_at];
        term.normalizer = total;
        normalized_terms[term_at] = term;
      }
    }
  }
}
