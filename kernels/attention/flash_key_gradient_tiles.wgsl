// Key and value gradients of softmax attention, as flash_key_gradient_rows, with the tiles in workgroup memory. A
// tile of TILE keys walks the queries of every head of its group TILE at a time.
// Dispatch: batch * key_heads * ceil(key_time / TILE) workgroups, folded.

import package::attention::logits::{BLOCK, cap, cap_slope, logit_of, probability};
import package::attention::problem::{Element, HEAD, VALUE, alibi_slope, key_row, shape, term_row, tile_of};
import package::attention::seeing_queries::{seeing_queries, sees_whole};
import package::attention::terms::{terms, visible_to};
import package::attention::tiles::{
  ACROSS, INVOCATIONS, SIDE, TILE, key_at, left, query_at, right, staged, staged_products, store_factors,
  store_seen, value_at, weighted_sum,
};
import package::attention::tiles_backward::y_gradient_at;
import package::attention::visibility::sees;
import package::common::workgroups::{Workgroup, number_of_workgroup};

@link const HEAD_BLOCKS: u32 = 2u; // ceil(HEAD / BLOCK)
@link const VALUE_BLOCKS: u32 = 2u; // ceil(VALUE / BLOCK)

@group(0) @binding(7) var<storage, read_write> key_gradient: array<vec4<Element>>; // [batch, key_time, key_heads, HEAD]
@group(0) @binding(8) var<storage, read_write> value_gradient: array<vec4<Element>>; // [batch, key_time, key_heads, VALUE]

@compute @workgroup_size(ACROSS, ACROSS)
fn flash_key_gradient_tiles(workgroup: Workgroup, @builtin(local_invocation_id) local: vec3u) {
  let tile = tile_of(number_of_workgroup(workgroup), shape.key_time, TILE, shape.key_heads);
  let key_head = tile.head;
  let batch = tile.batch;
  if (batch >= shape.batch) {
    return;
  }
  let group = shape.heads / shape.key_heads;
  let index = local.y * ACROSS + local.x;
  let first = tile.first + i32(local.y);
  let last_key = max(shape.key_length, 1) - 1;

  var dk: array<mat4x4f, HEAD_BLOCKS>;
  var dv: array<mat4x4f, VALUE_BLOCKS>;
  let times = seeing_queries(tile.first, min(tile.first + i32(TILE), shape.key_length) - 1, batch);
  for (var head = key_head * group; head < (key_head + 1u) * group; head++) {
    let slope = alibi_slope(head);
    for (var start = times.x; start < times.y; start += i32(TILE)) {
      let last = times.y - 1;
      let seen_whole = start + i32(TILE) <= times.y && sees_whole(batch, start, head, tile.first, i32(TILE));

      var scores = mat4x4f();
      for (var block = 0u; block < HEAD; block += BLOCK) {
        workgroupBarrier();
        for (var i = index; i < TILE * BLOCK; i += INVOCATIONS) {
          let row = i32(i / BLOCK);
          let column = block + i % BLOCK;
          left[staged(i)] = key_at(batch, min(tile.first + row, last_key), key_head, column);
          right[staged(i)] = query_at(batch, min(start + row, last), head, column) * shape.scale;
        }
        workgroupBarrier();
        scores += staged_products(local);
      }
      var dp = mat4x4f();
      for (var block = 0u; block < VALUE; block += BLOCK) {
        workgroupBarrier();
        for (var i = index; i < TILE * BLOCK; i += INVOCATIONS) {
          let row = i32(i / BLOCK);
          let column = block + i % BLOCK;
          left[staged(i)] = value_at(batch, min(tile.first + row, last_key), key_head, column);
          right[staged(i)] = y_gradient_at(batch, min(start + row, last), head, column);
        }
        workgroupBarrier();
        dp += staged_products(local);
      }

      var p: mat4x4f;
      var ds: mat4x4f;
      var seen: array<vec4<bool>, SIDE>;
      @unroll for (var j = 0u; j < SIDE; j++) {
        let time = start + i32(local.x + j * ACROSS);
        let term = terms[term_row(batch, min(time, last), head)];
        let visible = visible_to(time, term_row(batch, min(time, last), head));
        @unroll for (var i = 0u; i < SIDE; i++) {
          let at = first + i32(i * ACROSS);
          let capped = cap(scores[j][i]);
          let logit = logit_of(capped, time + shape.query_offset - at, slope);
          p[j][i] = probability(logit, term.log_sum_exp) / term.normalizer;
          ds[j][i] = p[j][i] * (dp[j][i] - term.delta) * cap_slope(capped);
          seen[j][i] = time <= last && sees(visible, at);
        }
      }

      store_seen(local, seen);
      store_factors(local, p);
      @unroll for (var block = 0u; block < VALUE_BLOCKS; block++) {
        workgroupBarrier();
        for (var i = index; i < TILE * BLOCK; i += INVOCATIONS) {
          let time = min(start + i32(i / BLOCK), last);
          right[staged(i)] = y_gradient_at(batch, time, head, block * BLOCK + i % BLOCK);
        }
        workgroupBarrier();
        dv[block] += weighted_sum(local, seen_whole);
      }
      workgroupBarrier();
      store_factors(local, ds);
      @unroll for (var block = 0u; block < HEAD_BLOCKS; block++) {
        workgroupBarrier();
        for (var i = index; i < TILE * BLOCK; i += INVOCATIONS) {
          let time = min(start + i32(i / BLOCK), last);
          right[staged(i)] = query_at(batch, time, head, block * BLOCK + i % BLOCK) * shape.scale;
        }
        workgroupBarrier();
        dk[block] += weighted_sum(local, seen_whole);
      }
    }
  }

  @unroll for (var i = 0u; i < SIDE; i++) {
    let at = first + i32(i * ACROSS);
    if (at < shape.key_time) {
      let row = key_row(batch, at, key_head);
      @unroll for (var block = 0u; block < HEAD_BLOCKS; block++) {
        let column = block * BLOCK + local.x;
        if (column < HEAD) {
          var sum = dk[block][i];
          @if(CONTINUES)
          sum += vec4f(key_gradient[row * HEAD + column]);
          key_gradient[row * HEAD + column] = vec4<Element>(sum);
        }
      }
      @unroll for (var block = 0u; block < VALUE_BLOCKS; block++) {
        let column = block * BLOCK + local.x;
        if (column < VALUE) {
          var sum = dv[block][i];
          @if(CONTINUES)
          sum += vec4f(value_gradient[row * VALUE + column]);
          value_gradient[row * VALUE + column] = vec4<Element>(sum);
        }
      }
    }
  }
}
