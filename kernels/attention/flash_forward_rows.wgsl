// Softmax attention with an online softmax over keys (FlashAttention-2, Dao 2023, Algorithm 1). With m the
// largest logit so far, l the sum of exponentials and o the weighted sum of values, a key with logit z does
//   m' = max(m, z), l' = l * exp(m - m') + exp(z - m'), o' = o * exp(m - m') + exp(z - m') * value,
// and at the end y = o / l, log_sum_exp = m + log(l).
// An invocation holds ROWS queries and their outputs in registers; LANES of them walk the same keys.
// Dispatch: batch * heads * ceil(query_time / (LANES * ROWS)) tiles of LANES invocations, folded.

import package::attention::logits::{LOWEST, NOTHING_SEEN, cap, log_sum, logit_of};
import package::attention::problem::{
  Element, HEAD, VALUE, alibi_slope, key, key_head_of, key_row, query, query_row, shape, term_row, value,
};
import package::attention::rows::{ROWS, Sum, add_product, rows_of};
import package::attention::segments::visible_at;
import package::attention::visibility::{Visible, next_key, sees, sees_any, walk_of};
import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::common::numbers::exp_of;

@group(0) @binding(6) var<storage, read_write> y: array<vec4<Element>>; // [batch, query_time, heads, VALUE]
@group(0) @binding(7) var<storage, read_write> log_sum_exp: array<f32>; // [batch, heads, query_time]

@compute @workgroup_size(WORKGROUP_SIZE)
fn flash_forward_rows(invocation: Invocation) {
  let rows = rows_of(invocation, shape.query_time, shape.heads);
  let head = rows.head;
  let batch = rows.batch;
  if (batch >= shape.batch) {
    return;
  }
  let key_head = key_head_of(head);
  let slope = alibi_slope(head);
  let first = rows.first;

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

  let last = rows.walk_end - 1;
  let walk = walk_of(visible_at(rows.walk_first), visible_at(last));
  var k = walk.first;
  while (k < walk.end) {
    let row = key_row(batch, k, key_head);
    var score = array<Sum, ROWS>();
    @unroll for (var d = 0u; d < HEAD; d++) {
      let element = vec4f(key[row * HEAD + d]);
      @unroll for (var r = 0u; r < ROWS; r++) {
        score[r] = add_product(score[r], q[r * HEAD + d], element, d, HEAD);
      }
    }
    var seen: array<bool, ROWS>;
    var p: array<f32, ROWS>;
    var kept: array<f32, ROWS>;
    @unroll for (var r = 0u; r < ROWS; r++) {
      seen[r] = sees(visible[r], k);
      let distance = first + i32(r) + shape.query_offset - k;
      let logit = select(LOWEST, logit_of(cap(score[r].x), distance, slope), seen[r]);
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
    k = next_key(walk, k, 1);
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
