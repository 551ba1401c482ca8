// Key and value gradients of softmax attention, as flash_key_gradient_tiles, with tiles of 64 keys by 64 queries, of
// which an invocation has 8 × 8. Its probabilities wait in workgroup memory for the gradients that they are
// multiplied by.
// Dispatch: batch * key_heads * ceil(key_time / TILE) workgroups, folded.

import package::attention::logits::{BLOCK, cap, cap_slope, logit_of, probability};
import package::attention::problem::{Element, HEAD, VALUE, alibi_slope, key_row, shape, term_row, tile_of};
import package::attention::seeing_queries::{seeing_queries, sees_whole};
import package::attention::terms::{terms, visible_to};
import package::attention::tiles::{key_at, query_at, value_at};
import package::attention::tiles_backward::y_gradient_at;
import package::attention::visibility::sees;
import package::attention::wide::{
  ACROSS, INVOCATIONS, Pairs, SIDE, STEP, SUMMED, SUMMED_ROWS, Seen, Sums, TILE, add_products,
  add_weighted, column_at, factors, factors_at, join_blocks, row_at, row_of, staged, store_seen, summed_at, with_seen,
};
import package::common::workgroups::{Workgroup, number_of_workgroup};

@link const HEAD_BLOCKS: u32 = 1u; // ceil(HEAD / SUMMED)
@link const VALUE_BLOCKS: u32 = 1u; // ceil(VALUE / SUMMED)

@group(0) @binding(7) var<storage, read_write> key_gradient: array<vec4<Element>>; // [batch, key_time, key_heads, HEAD]
@group(0) @binding(8) var<storage, read_write> value_gradient: array<vec4<Element>>; // [batch, key_time, key_heads, VALUE]

@compute @workgroup_size(ACROSS, ACROSS)
fn flash_key_gradient_wide(workgroup: Workgroup, @builtin(local_invocation_id) local: vec3u) {
  let tile = tile_of(number_of_workgroup(workgroup), shape.key_time, TILE, shape.key_heads);
  let key_head = tile.head;
  let batch = tile.batch;
  if (batch >= shape.batch) {
    return;
  }
  let group = shape.heads / shape.key_heads;
  let index = local.y * ACROSS + local.x;
  let last_key = max(shape.key_length, 1) - 1;

  var dk: array<Sums, HEAD_BLOCKS>;
  var dv: array<Sums, VALUE_BLOCKS>;
  let times = seeing_queries(tile.first, min(tile.first + i32(TILE), shape.key_length) - 1, batch);
  for (var head = key_head * group; head < (key_head + 1u) * group; head++) {
    let slope = alibi_slope(head);
    for (var start = times.x; start < times.y; start += i32(TILE)) {
      let last = times.y - 1;
      let seen_whole = start + i32(TILE) <= times.y && sees_whole(batch, start, head, tile.first, i32(TILE));

      var scores = Pairs();
      for (var block = 0u; block < HEAD; block += BLOCK) {
        var sum = Pairs();
        for (var begin = block; begin < min(block + BLOCK, HEAD); begin += STEP) {
          workgroupBarrier();
          for (var i = index; i < TILE * STEP; i += INVOCATIONS) {
            let row = i32(i / STEP);
            let column = begin + i % STEP;
            staged[row_at(i)] = key_at(batch, min(tile.first + row, last_key), key_head, column);
            staged[column_at(i)] = query_at(batch, min(start + row, last), head, column) * shape.scale;
          }
          workgroupBarrier();
          sum = add_products(local, sum);
        }
        scores = join_blocks(scores, sum);
      }

      if (!seen_whole) {
        var seen = Seen();
        @unroll for (var j = 0u; j < SIDE; j++) {
          let time = start + i32(local.x + j * ACROSS);
          let visible = visible_to(time, term_row(batch, min(time, last), head));
          @unroll for (var r = 0u; r < SIDE; r++) {
            let is_seen = (time <= last) & sees(visible, tile.first + i32(row_of(local.y, r)));
            seen = with_seen(seen, j, r, is_seen);
          }
        }
        store_seen(local, seen);
      }
      @if(CAPPED)
      var slopes: Pairs; // of the cap
      @unroll for (var j = 0u; j < SIDE; j++) {
        let time = start + i32(local.x + j * ACROSS);
        let term = terms[term_row(batch, min(time, last), head)];
        @unroll for (var f = 0u; f < 2u; f++) {
          var p: vec4f;
          @unroll for (var i = 0u; i < 4u; i++) {
            let at = tile.first + i32(row_of(local.y, 4u * f + i));
            let capped = cap(scores[2u * j + f][i]);
            let logit = logit_of(capped, time + shape.query_offset - at, slope);
            p[i] = probability(logit, term.log_sum_exp) / term.normalizer;
            @if(CAPPED)
            slopes[2u * j + f][i] = cap_slope(capped);
          }
          factors[factors_at(local, j, f)] = p;
        }
      }

      @unroll for (var block = 0u; block < VALUE_BLOCKS; block++) {
        for (var first = 0u; first < TILE; first += SUMMED_ROWS) {
          workgroupBarrier();
          for (var i = index; i < SUMMED_ROWS * SUMMED; i += INVOCATIONS) {
            let time = min(start + i32(first + i / SUMMED), last);
            staged[summed_at(i)] = y_gradient_at(batch, time, head, block * SUMMED + i % SUMMED);
          }
          workgroupBarrier();
          dv[block] = add_weighted(local, first, seen_whole, dv[block]);
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
            staged[row_at(i)] = value_at(batch, min(tile.first + row, last_key), key_head, column);
            staged[column_at(i)] = y_gradient_at(batch, min(start + row, last), head, column);
          }
          workgroupBarrier();
          sum = add_products(local, sum);
        }
        dp = join_blocks(dp, sum);
      }
      @unroll for (var j = 0u; j < SIDE; j++) {
        let time = min(start + i32(local.x + j * ACROSS), last);
        let delta = terms[term_row(batch, time, head)].delta;
        @unroll for (var f = 0u; f < 2u; f++) {
          var ds = factors[factors_at(local, j, f)] * (dp[2u * j + f] - delta);
          @if(CAPPED)
          ds *= slopes[2u * j + f];
          factors[factors_at(local, j, f)] = ds;
        }
      }

      @unroll for (var block = 0u; block < HEAD_BLOCKS; block++) {
        for (var first = 0u; first < TILE; first += SUMMED_ROWS) {
          workgroupBarrier();
          for (var i = index; i < SUMMED_ROWS * SUMMED; i += INVOCATIONS) {
            let time = min(start + i32(first + i / SUMMED), last);
            staged[summed_at(i)] = query_at(batch, time, head, block * SUMMED + i % SUMMED) * shape.scale;
          }
          workgroupBarrier();
          dk[block] = add_weighted(local, first, seen_whole, dk[block]);
        }
      }
    }
  }

  @unroll for (var r = 0u; r < SIDE; r++) {
    let at = tile.first + i32(row_of(local.y, r));
    if (at < shape.key_time) {
      let row = key_row(batch, at, key_head);
      @unroll for (var g = 0u; g < 2u * HEAD_BLOCKS; g++) {
        let column = g * ACROSS + local.x;
        if (column < HEAD) {
          var sum = dk[g / 2u][g % 2u * SIDE + r];
          @if(CONTINUES)
          sum += vec4f(key_gradient[row * HEAD + column]);
          key_gradient[row * HEAD + column] = vec4<Element>(sum);
        }
      }
      @unroll for (var g = 0u; g < 2u * VALUE_BLOCKS; g++) {
        let column = g * ACROSS + local.x;
        if (column < VALUE) {
          var sum = dv[g / 2u][g % 2u * SIDE + r];
          @if(CONTINUES)
          sum += vec4f(value_gradient[row * VALUE + column]);
          value_gradient[row * VALUE + column] = vec4<Element>(sum);
        }
      }
    }
  }
}
