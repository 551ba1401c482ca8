// Softmax attention with an online softmax over keys (FlashAttention-2, Dao 2023, Algorithm 1). With m the
// largest logit so far, l the sum of exponentials and o the weighted sum of values, a key with logit z does
//   m' = max(m, z), l' = l * exp(m - m') + exp(z - m'), o' = o * exp(m - m') + exp(z - m') * value,
// and at the end y = o / l, log_sum_exp = m + log(l).
// An invocation holds ROWS queries and their outputs in registers. All invocations walk the same keys, so that
// a SIMD machine loads each once for all its lanes.
// Dispatch: batch * heads * ceil(query_time / (WORKGROUP_SIZE * ROWS)) workgroups, folded.

import package::attention::logits::{LOWEST, NOTHING_SEEN, cap, dot_add, ends_block, log_sum, logit_of};
import package::attention::problem::{
  Element, HEAD, VALUE, alibi_slope, key, key_head_of, key_row, query, query_row, shape, term_row, tile_of,
  value,
};
import package::attention::segments::visible_at;
import package::attention::visibility::{Visible, sees, sees_any, walk_of};
import package::attention::workgroup::WORKGROUP_SIZE;
import package::common::numbers::exp_of;

@link const ROWS: u32 = 4u; // queries per invocation

@group(0) @binding(6) var<storage, read_write> y: array<vec4<Element>>; // [batch, query_time, heads, VALUE]
@group(0) @binding(7) var<storage, read_write> log_sum_exp: array<f32>; // [batch, heads, query_time]

@compute @workgroup_size(WORKGROUP_SIZE)
fn flash_forward_rows(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let number = workgroup.x + workgroup.y * workgroups.x;
  let tile = tile_of(number, shape.query_time, WORKGROUP_SIZE * ROWS, shape.heads);
  let head = tile.head;
  let batch = tile.batch;
  if (batch >= shape.batch) {
    return;
  }
  let key_head = key_head_of(head);
  let slope = alibi_slope(head);
  let first = tile.first + i32(local * ROWS);

  var q: array<vec4f, ROWS * HEAD>;
  var o: array<vec4f, ROWS * VALUE>;
  var largest: array<f32, ROWS>;
  var total: array<f32, ROWS>;
  var visible: array<Visible, ROWS>;
  @unroll for (var r = 0u; r < ROWS; r++) {
    let time = min(first + i32(r), shape.query_time - 1);
    let row = query_row(batch, time, head);
    visible[r] = visible_at(time);
    largest[r] = LOWEST;
    total[r] = 0.0;
    @unroll for (var d = 0u; d < HEAD; d++) {
      q[r * HEAD + d] = vec4f(query[row * HEAD + d]) * shape.scale;
    }
    @unroll for (var d = 0u; d < VALUE; d++) {
      o[r * VALUE + d] = vec4f();
      @if(CONTINUES)
      o[r * VALUE + d] = vec4f(y[row * VALUE + d]);
    }
    @if(CONTINUES)
    if (sees_any(visible[r], shape.walk_first)) {
      largest[r] = log_sum_exp[term_row(batch, time, head)];
      total[r] = 1.0;
    }
  }

  let last = min(tile.first + i32(WORKGROUP_SIZE * ROWS), shape.query_time) - 1;
  let walk = walk_of(visible_at(tile.first), visible_at(last));
  var k = walk.first;
  while (k < walk.end) {
    let row = key_row(batch, k, key_head);
    var score = array<f32, ROWS>();
    var block = array<f32, ROWS>();
    @unroll for (var d = 0u; d < HEAD; d++) {
      let element = vec4f(key[row * HEAD + d]);
      @unroll for (var r = 0u; r < ROWS; r++) {
        block[r] = dot_add(q[r * HEAD + d], element, block[r]);
        if (ends_block(d, HEAD)) {
          score[r] += block[r];
          block[r] = 0.0;
        }
      }
    }
    var seen: array<bool, ROWS>;
    var p: array<f32, ROWS>;
    var kept: array<f32, ROWS>;
    @unroll for (var r = 0u; r < ROWS; r++) {
      seen[r] = sees(visible[r], k);
      let distance = first + i32(r) + shape.query_offset - k;
      let logit = select(LOWEST, logit_of(cap(score[r]), distance, slope), seen[r]);
      let larger = max(largest[r], logit);
      kept[r] = exp(largest[r] - larger);
      p[r] = exp_of(logit - larger);
      total[r] = select(total[r], fma(total[r], kept[r], p[r]), seen[r]);
      largest[r] = larger;
    }
    @unroll for (var d = 0u; d < VALUE; d++) {
      let element = vec4f(value[row * VALUE + d]);
      @unroll for (var r = 0u; r < ROWS; r++) {
        let sum = fma(vec4f(p[r]), element, o[r * VALUE + d] * kept[r]);
        o[r * VALUE + d] = select(o[r * VALUE + d], sum, seen[r]); // a NaN that is not seen stays out
      }
    }
    k++;
    if (k == walk.sinks_end) {
      k = walk.begin;
    }
  }

  @unroll for (var r = 0u; r < ROWS; r++) {
    let time = first + i32(r);
    if (time < shape.query_time) {
      let row = query_row(batch, time, head);
      let any = sees_any(visible[r], shape.walk_last);
      let normalizer = select(0.0, 1.0 / total[r], any);
      @unroll for (var d = 0u; d < VALUE; d++) {
        y[row * VALUE + d] = vec4<Element>(o[r * VALUE + d] * normalizer);
      }
      log_sum_exp[term_row(batch, time, head)] =
        select(NOTHING_SEEN, log_sum(largest[r], total[r]), any);
    }
  }
}
