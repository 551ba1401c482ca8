// Query gradient of softmax attention, as flash_query_gradient_rows, with the tiles in workgroup memory.
// Dispatch: batch * heads * ceil(query_time / TILE) workgroups, folded.

import package::attention::logits::{BLOCK, cap, cap_slope, logit_of, probability};
import package::attention::problem::{Element, HEAD, VALUE, alibi_slope, query_row, shape, term_row};
import package::attention::terms::{Terms, terms, visible_to};
import package::attention::tiles::{
  ACROSS, INVOCATIONS, SIDE, TILE, key_at, left, query_key_products, queries_of, right, staged,
  staged_products, store_factors, store_seen, sum_columns, value_at, weighted_sum,
};
import package::attention::tiles_backward::y_gradient_at;
import package::attention::visibility::{Visible, end_of_part, next_key, sees, sees_any, walk_of};
import package::common::workgroups::Workgroup;

@link const HEAD_BLOCKS: u32 = 2u; // ceil(HEAD / BLOCK)

@group(0) @binding(7) var<storage, read_write> query_gradient: array<vec4<Element>>; // [batch, query_time, heads, HEAD]
@group(0) @binding(8) var<storage, read_write> normalized_terms: array<Terms>; // [batch, heads, query_time]

@compute @workgroup_size(ACROSS, ACROSS)
fn flash_query_gradient_tiles(workgroup: Workgroup, @builtin(local_invocation_id) local: vec3u) {
  let queries = queries_of(workgroup, TILE);
  if (queries.batch >= shape.batch) {
    return;
  }
  let batch = queries.batch;
  let head = queries.head;
  let slope = alibi_slope(head);
  let index = local.y * ACROSS + local.x;
  let first = queries.first + i32(local.y);

  var dq: array<mat4x4f, HEAD_BLOCKS>;
  var log_sum_exp: vec4f;
  var delta: vec4f;
  var normalizer: vec4f; // over the columns of this invocation
  var visible: array<Visible, SIDE>;
  @unroll for (var i = 0u; i < SIDE; i++) {
    let time = min(first + i32(i * ACROSS), shape.query_time - 1);
    let at = term_row(batch, time, head);
    log_sum_exp[i] = terms[at].log_sum_exp;
    delta[i] = terms[at].delta;
    visible[i] = visible_to(time, at);
    @if(CONTINUES)
    normalizer[i] = select(0.0, normalized_terms[at].normalizer, local.x == 0u);
  }

  let first_visible = visible_to(queries.first, term_row(batch, queries.first, head));
  let last_visible = visible_to(queries.last, term_row(batch, queries.last, head));
  let walk = walk_of(first_visible, last_visible);
  var k = walk.first;
  while (k < walk.end) {
    let limit = end_of_part(walk, k);
    let seen_whole = k >= last_visible.low && k + i32(TILE) <= min(first_visible.high, limit);
    let scores = query_key_products(local, queries, k, limit - 1);
    var dp = mat4x4f();
    for (var block = 0u; block < VALUE; block += BLOCK) {
      workgroupBarrier();
      for (var i = index; i < TILE * BLOCK; i += INVOCATIONS) {
        let row = i32(i / BLOCK);
        let column = block + i % BLOCK;
        left[staged(i)] = y_gradient_at(batch, min(queries.first + row, queries.last), head, column);
        right[staged(i)] = value_at(batch, min(k + row, limit - 1), queries.key_head, column);
      }
      workgroupBarrier();
      dp += staged_products(local);
    }

    var ds: mat4x4f;
    var seen: array<vec4<bool>, SIDE>;
    @unroll for (var j = 0u; j < SIDE; j++) {
      let at = k + i32(local.x + j * ACROSS);
      @unroll for (var i = 0u; i < SIDE; i++) {
        let capped = cap(scores[j][i]);
        let distance = first + i32(i * ACROSS) + shape.query_offset - at;
        let p = probability(logit_of(capped, distance, slope), log_sum_exp[i]);
        seen[j][i] = at < limit && sees(visible[i], at);
        normalizer[i] += select(0.0, p, seen[j][i]);
        ds[j][i] = p * (dp[j][i] - delta[i]) * cap_slope(capped);
      }
    }
    store_factors(local, ds);
    store_seen(local, seen);

    @unroll for (var block = 0u; block < HEAD_BLOCKS; block++) {
      workgroupBarrier();
      for (var i = index; i < TILE * BLOCK; i += INVOCATIONS) {
        let time = min(k + i32(i / BLOCK), limit - 1);
        right[staged(i)] = key_at(batch, time, queries.key_head, block * BLOCK + i % BLOCK);
      }
      workgroupBarrier();
      dq[block] += weighted_sum(local, seen_whole);
    }
    k = next_key(walk, k, i32(TILE));
  }

  normalizer = sum_columns(local, normalizer);
  let is_last_walk = shape.walk_last == shape.key_length; // whose normalizer is that of all keys
  @unroll for (var i = 0u; i < SIDE; i++) {
    let time = first + i32(i * ACROSS);
    if (time < shape.query_time) {
      let any = sees_any(visible[i], shape.key_length);
      let factor = select(1.0, select(0.0, 1.0 / normalizer[i], any), is_last_walk);
      @unroll for (var block = 0u; block < HEAD_BLOCKS; block++) {
        let column = block * BLOCK + local.x;
        if (column < HEAD) {
          let at = query_row(batch, time, head) * HEAD + column;
          var sum = dq[block][i] * shape.scale;
          @if(CONTINUES)
          sum += vec4f(query_gradient[at]);
          query_gradient[at] = vec4<Element>(sum * factor);
        }
      }
      if (local.x == 0u) {
        let at = term_row(batch, time, head);
        var term = terms[at];
        term.normalizer = normalizer[i];
        normalized_terms[at] = term;
      }
    }
  }
}
