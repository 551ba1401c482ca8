// Softmax attention with an online softmax over tiles of keys, as flash_forward_rows, with the tiles in workgroup
// memory. A tile of TILE queries walks the keys TILE at a time; rows are staged BLOCK vec4s at a time.
// Dispatch: batch * heads * ceil(query_time / TILE) workgroups, folded.

import package::attention::logits::{BLOCK, LOWEST, NOTHING_SEEN, cap, log_sum, logit_of};
import package::attention::problem::{Element, VALUE, alibi_slope, query_row, shape, term_row};
import package::attention::segments::visible_at;
import package::attention::tiles::{
  ACROSS, INVOCATIONS, SIDE, TILE, query_key_products, queries_of, reduced, right, staged, store_factors,
  store_seen, sum_columns, value_at, weighted_sum,
};
import package::attention::visibility::{Visible, end_of_part, next_key, sees, sees_any, walk_of};
import package::common::numbers::exp_of;
import package::common::workgroups::Workgroup;

@link const VALUE_BLOCKS: u32 = 2u; // ceil(VALUE / BLOCK)

@group(0) @binding(6) var<storage, read_write> y: array<vec4<Element>>; // [batch, query_time, heads, VALUE]
@group(0) @binding(7) var<storage, read_write> log_sum_exp: array<f32>; // [batch, heads, query_time]

@compute @workgroup_size(ACROSS, ACROSS)
fn flash_forward_tiles(workgroup: Workgroup, @builtin(local_invocation_id) local: vec3u) {
  let queries = queries_of(workgroup, TILE);
  if (queries.batch >= shape.batch) {
    return;
  }
  let batch = queries.batch;
  let head = queries.head;
  let slope = alibi_slope(head);
  let index = local.y * ACROSS + local.x;
  let first = queries.first + i32(local.y);

  var o: array<mat4x4f, VALUE_BLOCKS>;
  var largest = vec4f(LOWEST);
  var total = vec4f(); // over the columns of this invocation
  var visible: array<Visible, SIDE>;
  @unroll for (var i = 0u; i < SIDE; i++) {
    let time = min(first + i32(i * ACROSS), shape.query_time - 1);
    visible[i] = visible_at(time);
    @if(CONTINUES) {
      @unroll for (var block = 0u; block < VALUE_BLOCKS; block++) {
        let column = block * BLOCK + local.x;
        if (column < VALUE) {
          o[block][i] = vec4f(y[query_row(batch, time, head) * VALUE + column]);
        }
      }
      if (sees_any(visible[i], shape.walk_first)) {
        largest[i] = log_sum_exp[term_row(batch, time, head)];
        total[i] = select(0.0, 1.0, local.x == 0u);
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

    var seen: array<vec4<bool>, SIDE>;
    var larger = largest;
    @unroll for (var j = 0u; j < SIDE; j++) {
      let at = k + i32(local.x + j * ACROSS);
      @unroll for (var i = 0u; i < SIDE; i++) {
        let distance = first + i32(i * ACROSS) + shape.query_offset - at;
        seen[j][i] = at < limit && sees(visible[i], at);
        logits[j][i] = select(LOWEST, logit_of(cap(logits[j][i]), distance, slope), seen[j][i]);
      }
      larger = max(larger, logits[j]);
    }
    reduced[local.x * ACROSS + local.y] = larger;
    workgroupBarrier();
    for (var x = 0u; x < ACROSS; x++) {
      larger = max(larger, reduced[x * ACROSS + local.y]);
    }
    let kept = exp(largest - larger);
    largest = larger;
    total *= kept;
    var p: mat4x4f;
    @unroll for (var j = 0u; j < SIDE; j++) {
      @unroll for (var i = 0u; i < SIDE; i++) {
        p[j][i] = select(0.0, exp_of(logits[j][i] - larger[i]), seen[j][i]);
      }
      total += p[j];
    }
    store_factors(local, p);
    store_seen(local, seen);

    @unroll for (var block = 0u; block < VALUE_BLOCKS; block++) {
      workgroupBarrier();
      for (var i = index; i < TILE * BLOCK; i += INVOCATIONS) {
        let time = min(k + i32(i / BLOCK), limit - 1);
        right[staged(i)] = value_at(batch, time, queries.key_head, block * BLOCK + i % BLOCK);
      }
      workgroupBarrier();
      let sum = weighted_sum(local, seen_whole);
      @unroll for (var i = 0u; i < SIDE; i++) {
        o[block][i] = o[block][i] * kept[i] + sum[i];
      }
    }
    k = next_key(walk, k, i32(TILE));
  }

  total = sum_columns(local, total);
  @unroll for (var i = 0u; i < SIDE; i++) {
    let time = first + i32(i * ACROSS);
    if (time < shape.query_time) {
      let any = sees_any(visible[i], shape.walk_last);
      let normalizer = select(0.0, 1.0 / total[i], any);
      @unroll for (var block = 0u; block < VALUE_BLOCKS; block++) {
        let column = block * BLOCK + local.x;
        if (column < VALUE) {
          let at = query_row(batch, time, head) * VALUE + column;
          y[at] = vec4<Element>(o[block][i] * normalizer);
        }
      }
      if (local.x == 0u) {
        log_sum_exp[term_row(batch, time, head)] =
          select(NOTHING_SEEN, log_sum(largest[i], total[i]), any);
      }
    }
  }
}
