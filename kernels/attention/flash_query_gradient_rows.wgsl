// Query gradient of softmax attention (FlashAttention-2, Dao 2023, Algorithm 2). The probabilities are made
// again from log_sum_exp; with delta = sum of dy * y,
//   p = exp(logit - log_sum_exp) / normalizer, dp = dy · value, ds = p * (dp - delta) * cap',
//   dq = scale * sum of ds * key.
// The normalizer is the sum of exp(logit - log_sum_exp): 1, but for what rounding took off log_sum_exp.
// An invocation holds ROWS queries, their output gradients and their gradients in registers.
// Dispatch: batch * heads * ceil(query_time / (LANES * ROWS)) tiles of LANES invocations, folded.

import package::attention::logits::{cap, cap_slope, logit_of, probability};
import package::attention::problem::{
  Element, HEAD, VALUE, alibi_slope, key, key_head_of, key_row, query, query_row, shape, term_row, value,
};
import package::attention::rows::{ROWS, Sum, add_product, rows_of};
import package::attention::terms::{Terms, terms, visible_to, y_gradient};
import package::attention::visibility::{Visible, next_key, sees, sees_any, walk_of};
import package::common::invocations::{Invocation, WORKGROUP_SIZE};

@group(0) @binding(7) var<storage, read_write> query_gradient: array<vec4<Element>>; // [batch, query_time, heads, HEAD]
@group(0) @binding(8) var<storage, read_write> normalized_terms: array<Terms>; // [batch, heads, query_time]

@compute @workgroup_size(WORKGROUP_SIZE)
fn flash_query_gradient_rows(invocation: Invocation) {
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
  var dy: array<vec4f, ROWS * VALUE>;
  var dq: array<vec4f, ROWS * HEAD>;
  var normalizer: array<f32, ROWS>;
  var term: array<Terms, ROWS>;
  var visible: array<Visible, ROWS>;
  @unroll for (var r = 0u; r < ROWS; r++) {
    let time = min(first + i32(r), shape.query_time - 1);
    let row = query_row(batch, time, head);
    @unroll for (var d = 0u; d < HEAD; d++) {
      q[r * HEAD + d] = vec4f(query[row * HEAD + d]) * shape.scale;
      dq[r * HEAD + d] = vec4f();
    }
    @unroll for (var d = 0u; d < VALUE; d++) {
      dy[r * VALUE + d] = vec4f(y_gradient[row * VALUE + d]);
    }
    let at = term_row(batch, time, head);
    term[r] = terms[at];
    visible[r] = visible_to(time, at);
    normalizer[r] = 0.0;
    @if(CONTINUES)
    normalizer[r] = normalized_terms[at].normalizer;
  }

  let last = rows.walk_end - 1;
  let walk = walk_of(
    visible_to(rows.walk_first, term_row(batch, rows.walk_first, head)),
    visible_to(last, term_row(batch, last, head)),
  );
  var k = walk.first;
  while (k < walk.end) {
    let row = key_row(batch, k, key_head);
    var score = array<Sum, ROWS>();
    var dp = array<Sum, ROWS>();
    @unroll for (var d = 0u; d < HEAD; d++) {
      let element = vec4f(key[row * HEAD + d]);
      @unroll for (var r = 0u; r < ROWS; r++) {
        score[r] = add_product(score[r], q[r * HEAD + d], element, d, HEAD);
      }
    }
    @unroll for (var d = 0u; d < VALUE; d++) {
      let element = vec4f(value[row * VALUE + d]);
      @unroll for (var r = 0u; r < ROWS; r++) {
        dp[r] = add_product(dp[r], dy[r * VALUE + d], element, d, VALUE);
      }
    }
    var seen: array<bool, ROWS>;
    var ds: array<f32, ROWS>;
    @unroll for (var r = 0u; r < ROWS; r++) {
      seen[r] = sees(visible[r], k);
      let distance = first + i32(r) + shape.query_offset - k;
      let capped = cap(score[r].x);
      let p = probability(logit_of(capped, distance, slope), term[r].log_sum_exp);
      normalizer[r] += select(0.0, p, seen[r]);
      ds[r] = p * (dp[r].x - term[r].delta) * cap_slope(capped);
    }
    @unroll for (var d = 0u; d < HEAD; d++) {
      let element = vec4f(key[row * HEAD + d]);
      @unroll for (var r = 0u; r < ROWS; r++) {
        let sum = fma(vec4f(ds[r]), element, dq[r * HEAD + d]);
        dq[r * HEAD + d] = select(dq[r * HEAD + d], sum, seen[r]); // a NaN that is not seen stays out
      }
    }
    k = next_key(walk, k, 1);
  }

  let is_last_walk = shape.walk_last == shape.key_length; // whose normalizer is that of all keys
  @unroll for (var r = 0u; r < ROWS; r++) {
    let time = first + i32(r);
    if (time < shape.query_time) {
      let row = query_row(batch, time, head);
      let any = sees_any(visible[r], shape.key_length);
      let factor = select(1.0, select(0.0, 1.0 / normalizer[r], any), is_last_walk);
      @unroll for (var d = 0u; d < HEAD; d++) {
        var sum = dq[r * HEAD + d] * shape.scale;
        @if(CONTINUES)
        sum += vec4f(query_gradient[row * HEAD + d]);
        query_gradient[row * HEAD + d] = vec4<Element>(sum * factor);
      }
      term[r].normalizer = normalizer[r];
      normalized_terms[term_row(batch, time, head)] = term[r];
    }
  }
}
