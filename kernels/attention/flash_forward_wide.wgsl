// Softmax attention as flash_forward_tiles, with tiles of 64 queries by 64 keys, of which an invocation has 8 × 8.
// Dispatch: batch * heads * ceil(query_time / TILE) workgroups, folded.

import package::attention::logits::{LOWEST, NOTHING_SEEN, cap, log_sum, logit_of};
import package::attention::problem::{Element, VALUE, alibi_slope, query_row, shape, term_row};
import package::attention::segments::visible_at;
import package::attention::tiles::{queries_of, value_at};
import package::attention::visibility::{end_of_part, next_key, sees, sees_any, walk_of};
import package::attention::wide::{
  ACROSS, INVOCATIONS, Rows, SEEN_WHOLE, SIDE, SUMMED, SUMMED_ROWS, Seen, Sums, TILE, add_weighted, factors,
  factors_at, largest_of_columns, query_key_products, row_of, seen_of, staged, store_seen, sum_columns, summed_at,
  with_seen,
};
import package::common::numbers::exp_of;
import package::common::workgroups::Workgroup;

@link const VALUE_BLOCKS: u32 = 1u; // ceil(VALUE / SUMMED)

@group(0) @binding(6) var<storage, read_write> y: array<vec4<Element>>; // [batch, query_time, heads, VALUE]
@group(0) @binding(7) var<storage, read_write> log_sum_exp: array<f32>; // [batch, heads, query_time]

@compute @workgroup_size(ACROSS, ACROSS)
fn flash_forward_wide(workgroup: Workgroup, @builtin(local_invocation_id) local: vec3u) {
  let queries = queries_of(workgroup, TILE);
  if (queries.batch >= shape.batch) {
    return;
  }
  let batch = queries.batch;
  let head = queries.head;
  let slope = alibi_slope(head);
  let index = local.y * ACROSS + local.x;

  var o: array<Sums, VALUE_BLOCKS>;
  var largest = Rows(vec4f(LOWEST), vec4f(LOWEST));
  var total = Rows(); // over the keys of this invocation
  @if(CONTINUES) {
    @unroll for (var r = 0u; r < SIDE; r++) {
      let time = min(queries.first + i32(row_of(local.y, r)), queries.last);
      @unroll for (var g = 0u; g < 2u * VALUE_BLOCKS; g++) {
        let column = g * ACROSS + local.x;
        if (column < VALUE) {
          o[g / 2u][g % 2u * SIDE + r] = vec4f(y[query_row(batch, time, head) * VALUE + column]);
        }
      }
      if (sees_any(visible_at(time), shape.walk_first)) {
        largest[r / 4u][r % 4u] = log_sum_exp[term_row(batch, time, head)];
        total[r / 4u][r % 4u] = select(0.0, 1.0, local.x == 0u);
      }
    }
  }

  let first_visible = visible_at(queries.first);
  let last_visible = visible_at(queries.last);
  let walk = walk_of(first_visible, last_visible);
  var k = walk.first;
  while (k < walk.end) {
    let limit = end_of_part(walk, k);
    let seen_whole = k >= last_visible.low && k + i32(TILE) <= min(first_visible.high, limit);

    var logits = query_key_products(local, queries, k, limit - 1);

    var seen = SEEN_WHOLE;
    if (!seen_whole) {
      seen = Seen();
      @unroll for (var r = 0u; r < SIDE; r++) {
        let visible = visible_at(min(queries.first + i32(row_of(local.y, r)), queries.last));
        @unroll for (var j = 0u; j < SIDE; j++) {
          let at = k + i32(local.x + j * ACROSS);
          seen = with_seen(seen, j, r, (at < limit) & sees(visible, at));
        }
      }
      store_seen(local, seen);
    }
    var larger = largest;
    @unroll for (var j = 0u; j < SIDE; j++) {
      @unroll for (var f = 0u; f < 2u; f++) {
        @unroll for (var i = 0u; i < 4u; i++) {
          let query = queries.first + i32(row_of(local.y, 4u * f + i)) + shape.query_offset;
          let distance = query - k - i32(local.x + j * ACROSS);
          logits[2u * j + f][i] = logit_of(cap(logits[2u * j + f][i]), distance, slope);
        }
        larger[f] = max(larger[f], select(vec4f(LOWEST), logits[2u * j + f], seen_of(seen, j, f)));
      }
    }
    larger = largest_of_columns(local, larger);
    var kept: Rows;
    @unroll for (var f = 0u; f < 2u; f++) {
      kept[f] = exp(largest[f] - larger[f]);
      total[f] *= kept[f];
    }
    largest = larger;
    @unroll for (var j = 0u; j < SIDE; j++) {
      @unroll for (var f = 0u; f < 2u; f++) {
        var p: vec4f;
        @unroll for (var i = 0u; i < 4u; i++) {
          p[i] = exp_of(logits[2u * j + f][i] - largest[f][i]);
        }
        total[f] += select(vec4f(), p, seen_of(seen, j, f));
        factors[factors_at(local, j, f)] = p;
      }
    }

    @unroll for (var block = 0u; block < VALUE_BLOCKS; block++) {
      @unroll for (var n = 0u; n < 2u * SIDE; n++) {
        o[block][n] *= kept[n % SIDE / 4u][n % 4u];
      }
      for (var first = 0u; first < TILE; first += SUMMED_ROWS) {
        workgroupBarrier();
        for (var i = index; i < SUMMED_ROWS * SUMMED; i += INVOCATIONS) {
          let time = min(k + i32(first + i / SUMMED), limit - 1);
          staged[summed_at(i)] = value_at(batch, time, queries.key_head, block * SUMMED + i % SUMMED);
        }
        workgroupBarrier();
        o[block] = add_weighted(local, first, seen_whole, o[block]);
      }
    }
    k = next_key(walk, k, i32(TILE));
  }

  total = sum_columns(local, total);
  @unroll for (var r = 0u; r < SIDE; r++) {
    let time = queries.first + i32(row_of(local.y, r));
    if (time < shape.query_time) {
      let any = sees_any(visible_at(time), shape.walk_last);
      let sum = total[r / 4u][r % 4u];
      let normalizer = select(0.0, 1.0 / sum, any);
      @unroll for (var g = 0u; g < 2u * VALUE_BLOCKS; g++) {
        let column = g * ACROSS + local.x;
        if (column < VALUE) {
          let at = query_row(batch, time, head) * VALUE + column;
          y[at] = vec4<Element>(o[g / 2u][g % 2u * SIDE + r] * normalizer);
        }
      }
      if (local.x == 0u) {
        log_sum_exp[term_row(batch, time, head)] =
          select(NOTHING_SEEN, log_sum(largest[r / 4u][r % 4u], sum), any);
      }
    }
  }
}
