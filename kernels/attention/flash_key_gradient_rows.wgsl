// Key and value gradients of softmax attention (FlashAttention-2, Dao 2023, Algorithm 2), with p and ds as in
// flash_query_gradient_rows:
//   dv = sum over queries of p * dy, dk = sum over queries of ds * scale * query,
// over all query heads that share the key head. An invocation holds ROWS keys, their values and the gradients
// of both in registers; LANES of them walk the same queries.
// Dispatch: batch * key_heads * ceil(key_time / (LANES * ROWS)) tiles of LANES invocations, folded.

import package::attention::logits::{cap, cap_slope, logit_of, probability};
import package::attention::problem::{
  Element, HEAD, VALUE, alibi_slope, key, key_row, query, query_row, shape, term_row, value,
};
import package::attention::rows::{ROWS, Sum, add_product, rows_of};
import package::attention::seeing_queries::seeing_queries;
import package::attention::terms::{terms, visible_to, y_gradient};
import package::attention::visibility::sees;
import package::common::invocations::{Invocation, WORKGROUP_SIZE};

@group(0) @binding(7) var<storage, read_write> key_gradient: array<vec4<Element>>; // [batch, key_time, key_heads, HEAD]
@group(0) @binding(8) var<storage, read_write> value_gradient: array<vec4<Element>>; // [batch, key_time, key_heads, VALUE]

@compute @workgroup_size(WORKGROUP_SIZE)
fn flash_key_gradient_rows(invocation: Invocation) {
  let rows = rows_of(invocation, shape.key_time, shape.key_heads);
  let key_head = rows.head;
  let batch = rows.batch;
  if (batch >= shape.batch) {
    return;
  }
  let group = shape.heads / shape.key_heads;
  let first = rows.first;

  var k: array<vec4f, ROWS * HEAD>;
  var v: array<vec4f, ROWS * VALUE>;
  var dk: array<vec4f, ROWS * HEAD>;
  var dv: array<vec4f, ROWS * VALUE>;
  @unroll for (var r = 0u; r < ROWS; r++) {
    let row = key_row(batch, min(first + i32(r), max(shape.key_length, 1) - 1), key_head);
    @unroll for (var d = 0u; d < HEAD; d++) {
      k[r * HEAD + d] = vec4f(key[row * HEAD + d]);
      dk[r * HEAD + d] = vec4f();
    }
    @unroll for (var d = 0u; d < VALUE; d++) {
      v[r * VALUE + d] = vec4f(value[row * VALUE + d]);
      dv[r * VALUE + d] = vec4f();
    }
  }

  let last = min(rows.walk_end, shape.key_length) - 1;
  let times = seeing_queries(rows.walk_first, last, batch);
  for (var head = key_head * group; head < (key_head + 1u) * group; head++) {
    let slope = alibi_slope(head);
    for (var time = times.x; time < times.y; time++) {
      let row = query_row(batch, time, head);
      let term = terms[term_row(batch, time, head)];
      let visible = visible_to(time, term_row(batch, time, head));
      var score = array<Sum, ROWS>();
      var dp = array<Sum, ROWS>();
      @unroll for (var d = 0u; d < HEAD; d++) {
        let element = vec4f(query[row * HEAD + d]) * shape.scale;
        @unroll for (var r = 0u; r < ROWS; r++) {
          score[r] = add_product(score[r], k[r * HEAD + d], element, d, HEAD);
        }
      }
      @unroll for (var d = 0u; d < VALUE; d++) {
        let element = vec4f(y_gradient[row * VALUE + d]);
        @unroll for (var r = 0u; r < ROWS; r++) {
          dp[r] = add_product(dp[r], v[r * VALUE + d], element, d, VALUE);
        }
      }
      var seen: array<bool, ROWS>;
      var p: array<f32, ROWS>;
      var ds: array<f32, ROWS>;
      @unroll for (var r = 0u; r < ROWS; r++) {
        let at = first + i32(r);
        seen[r] = sees(visible, at);
        let capped = cap(score[r].x);
        let logit = logit_of(capped, time + shape.query_offset - at, slope);
        p[r] = probability(logit, term.log_sum_exp) / term.normalizer;
        ds[r] = p[r] * (dp[r].x - term.delta) * cap_slope(capped);
      }
      // A NaN that is not seen stays out of both.
      @unroll for (var d = 0u; d < VALUE; d++) {
        let element = vec4f(y_gradient[row * VALUE + d]);
        @unroll for (var r = 0u; r < ROWS; r++) {
          let sum = fma(vec4f(p[r]), element, dv[r * VALUE + d]);
          dv[r * VALUE + d] = select(dv[r * VALUE + d], sum, seen[r]);
        }
      }
      @unroll for (var d = 0u; d < HEAD; d++) {
        let element = vec4f(query[row * HEAD + d]) * shape.scale;
        @unroll for (var r = 0u; r < ROWS; r++) {
          let sum = fma(vec4f(ds[r]), element, dk[r * HEAD + d]);
          dk[r * HEAD + d] = select(dk[r * HEAD + d], sum, seen[r]);
        }
      }
    }
  }

  @unroll for (var r = 0u; r < ROWS; r++) {
    let at = first + i32(r);
    if (at < shape.key_time) {
      let row = key_row(batch, at, key_head);
      @unroll for (var d = 0u; d < HEAD; d++) {
        var sum = dk[r * HEAD + d];
        @if(CONTINUES)
        sum += vec4f(key_gradient[row * HEAD + d]);
        key_gradient[row * HEAD + d] = vec4<Element>(sum);
      }
      @unroll for (var d = 0u; d < VALUE; d++) {
        var sum = dv[r * VALUE + d];
        @if(CONTINUES)
        sum += vec4f(value_gradient[row * VALUE + d]);
        value_gradient[row * VALUE + d] = vec4<Element>(sum);
      }
    }
  }
}
