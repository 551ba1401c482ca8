// Query gradient of softmax attention, as flash_query_gradient_rows, with the tiles in workgroup memory.
// Dispatch: batch * heads * ceil(query_time / 32) workgroups, folded.

import package::attention::logits::{BLOCK, cap, cap_slope, logit_of, probability};
import package::attention::problem::{
  Element, HEAD, VALUE, alibi_slope, key_head_of, query_row, shape, term_row, tile_of,
};
import package::attention::terms::{Terms, terms, visible_to};
import package::attention::tiles::{
  SIDE, TILE, key_at, left, query_at, right, staged, staged_products, store_factors, store_seen, sum_columns,
  value_at, weighted_sum,
};
import package::attention::tiles_backward::y_gradient_at;
import package::attention::visibility::{Visible, sees, sees_any, walk_of};

@link const HEAD_BLOCKS: u32 = 2u; // ceil(HEAD / BLOCK)

@group(0) @binding(7) var<storage, read_write> query_gradient: array<vec4<Element>>; // [batch, query_time, heads, HEAD]
@group(0) @binding(8) var<storage, read_write> normalized_terms: array<Terms>; // [batch, heads, query_time]

@compute @workgroup_size(8, 8)
fn flash_query_gradient_tiles(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
  @builtin(local_invocation_index) index: u32,
) {
  let tile = tile_of(workgroup.x + workgroup.y * workgroups.x, shape.query_time, TILE, shape.heads);
  let head = tile.head;
  let batch = tile.batch;
  if (batch >= shape.batch) {
    return;
  }
  let key_head = key_head_of(head);
  let slope = alibi_slope(head);
  let first = tile.first + i32(local.y);
  let last = min(tile.first + i32(TILE), shape.query_time) - 1;

  var dq: array<mat4x4f, HEAD_BLOCKS>;
  var log_sum_exp: vec4f;
  var delta: vec4f;
  var normalizer: vec4f; // over the columns of this invocation
  var visible: array<Visible, SIDE>;
  @unroll for (var i = 0u; i < SIDE; i++) {
    let time = min(first + i32(i * 8u), shape.query_time - 1);
    let at = term_row(batch, time, head);
    log_sum_exp[i] = terms[at].log_sum_exp;
    delta[i] = terms[at].delta;
    visible[i] = visible_to(time, at);
    @if(CONTINUES)
    normalizer[i] = select(0.0, normalized_terms[at].normalizer, local.x == 0u);
  }

  let first_visible = visible_to(tile.first, term_row(batch, tile.first, head));
  let last_visible = visible_to(last, term_row(batch, last, head));
  let walk = walk_of(first_visible, last_visible);
  var k = walk.first;
  while (k < walk.end) {
    let limit = select(walk.end, walk.sinks_end, k < walk.sinks_end);
    let seen_whole = k >= last_visible.low && k + i32(TILE) <= min(first_visible.high, limit);
    var scores = mat4x4f();
    for (var block = 0u; block < HEAD; block += BLOCK) {
      workgroupBarrier();
      for (var i = index; i < TILE * BLOCK; i += 64u) {
        let row = i32(i / BLOCK);
        let column = block + i % BLOCK;
        left[staged(i)] = query_at(batch, min(tile.first + row, last), head, column) * shape.scale;
        right[staged(i)] = key_at(batch, min(k + row, limit - 1), key_head, column);
      }
      workgroupBarrier();
      scores += staged_products(local);
    }
    var dp = mat4x4f();
    for (var block = 0u; block < VALUE; block += BLOCK) {
      workgroupBarrier();
      for (var i = index; i < TILE * BLOCK; i += 64u) {
        let row = i32(i / BLOCK);
        let column = block + i % BLOCK;
        left[staged(i)] = y_gradient_at(batch, min(tile.first + row, last), head, column);
        right[staged(i)] = value_at(batch, min(k + row, limit - 1), key_head, column);
      }
      workgroupBarrier();
      dp += staged_products(local);
    }

    var ds: mat4x4f;
    var seen: array<vec4<bool>, SIDE>;
    @unroll for (var j = 0u; j < SIDE; j++) {
      let at = k + i32(local.x + j * 8u);
      @unroll for (var i = 0u; i < SIDE; i++) {
        let capped = cap(scores[j][i]);
        let distance = first + i32(i * 8u) + shape.query_offset - at;
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
      for (var i = index; i < TILE * BLOCK; i += 64u) {
        let time = min(k + i32(i / BLOCK), limit - 1);
        right[staged(i)] = key_at(batch, time, key_head, block * BLOCK + i % BLOCK);
      }
      workgroupBarrier();
      dq[block] += weighted_sum(local, seen_whole);
    }
    k += i32(TILE);
    if (limit < walk.end && k >= walk.sinks_end) {
      k = walk.begin;
    }
  }

  normalizer = sum_columns(local, normalizer);
  let is_last_walk = shape.walk_last == shape.key_length; // whose normalizer is that of all keys
  @unroll for (var i = 0u; i < SIDE; i++) {
    let time = first + i32(i * 8u);
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
