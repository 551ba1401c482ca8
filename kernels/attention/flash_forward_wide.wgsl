// Softmax attention as flash_forward_tiles, with tiles of 64 queries by 64 keys: an invocation has 8 × 8 products, and
// 8 rows by 8 values of the output, so that 4 multiply-adds are done per float read from workgroup memory.
// Its rows are 4 y + 32 f + i for f < 2, i < 4, its keys x + 8 j, its vec4s of a value x + 8 g for g < 2.
// Dispatch: batch * heads * ceil(query_time / TILE) workgroups, folded.

import package::attention::logits::{BLOCK, LOWEST, NOTHING_SEEN, cap, dot_add, log_sum, logit_of};
import package::attention::problem::{
  Element, HEAD, VALUE, alibi_slope, key_head_of, query_row, shape, term_row, tile_of,
};
import package::attention::segments::visible_at;
import package::attention::tiles::{key_at, query_at, value_at};
import package::attention::visibility::{Visible, end_of_part, next_key, sees, sees_any, walk_of};
import package::common::numbers::exp_of;
import package::common::workgroups::{Workgroup, number_of_workgroup};

@link const VALUE_BLOCKS: u32 = 1u; // ceil(VALUE / VALUES)

const ACROSS = 8u; // invocations along a side of a tile
const SIDE = 8u; // rows, and keys, of an invocation
const PAIRS = SIDE * SIDE;
const TILE = SIDE * ACROSS;
const INVOCATIONS = ACROSS * ACROSS;
const STRIDE = BLOCK + 1u; // of a staged row of queries or keys; one more puts rows in different banks
const VALUES = 16u; // vec4s of a value that are staged at a time
const VALUE_STRIDE = VALUES + 1u;
const STAGED_KEYS = 32u; // whose values are staged at a time
const UNSEEN = -1.0; // in place of a probability

// First queries, and keys behind them; then probabilities [key, row / 4], and values behind them.
const KEYS_AT = TILE * STRIDE;
const VALUES_AT = TILE * TILE / 4u;

@group(0) @binding(6) var<storage, read_write> y: array<vec4<Element>>; // [batch, query_time, heads, VALUE]
@group(0) @binding(7) var<storage, read_write> log_sum_exp: array<f32>; // [batch, heads, query_time]

var<workgroup> staged: array<vec4f, VALUES_AT + STAGED_KEYS * VALUE_STRIDE>;
var<workgroup> row_parts: array<f32, ACROSS * TILE>; // [x, row]

@compute @workgroup_size(ACROSS, ACROSS)
fn flash_forward_wide(workgroup: Workgroup, @builtin(local_invocation_id) local: vec3u) {
  let tile = tile_of(number_of_workgroup(workgroup), shape.query_time, TILE, shape.heads);
  if (tile.batch >= shape.batch) {
    return;
  }
  let batch = tile.batch;
  let head = tile.head;
  let key_head = key_head_of(head);
  let slope = alibi_slope(head);
  let index = local.y * ACROSS + local.x;
  let first_row = local.y * 4u;
  let last_query = min(tile.first + i32(TILE), shape.query_time) - 1;

  var o = array<vec4f, 2u * SIDE * VALUE_BLOCKS>(); // [block, g, row]
  var largest = array<f32, SIDE>();
  var total = array<f32, SIDE>(); // over the keys of this invocation
  var visible: array<Visible, SIDE>;
  @unroll for (var r = 0u; r < SIDE; r++) {
    let time = min(tile.first + i32(first_row + r / 4u * 32u + r % 4u), shape.query_time - 1);
    visible[r] = visible_at(time);
    largest[r] = LOWEST;
    @if(CONTINUES) {
      @unroll for (var b = 0u; b < 2u * VALUE_BLOCKS; b++) {
        let column = b * ACROSS + local.x;
        if (column < VALUE) {
          o[b * SIDE + r] = vec4f(y[query_row(batch, time, head) * VALUE + column]);
        }
      }
      if (sees_any(visible[r], shape.walk_first)) {
        largest[r] = log_sum_exp[term_row(batch, time, head)];
        total[r] = select(0.0, 1.0, local.x == 0u);
      }
    }
  }

  let first_visible = visible_at(tile.first);
  let last_visible = visible_at(last_query);
  let walk = walk_of(first_visible, last_visible);
  var k = walk.first;
  while (k < walk.end) {
    let limit = end_of_part(walk, k);
    let seen_whole = k >= last_visible.low && k + i32(TILE) <= min(first_visible.high, limit);

    var products = array<f32, PAIRS>(); // [key, row]
    for (var block = 0u; block < HEAD; block += BLOCK) {
      workgroupBarrier();
      for (var i = index; i < TILE * BLOCK; i += INVOCATIONS) {
        let row = i32(i / BLOCK);
        let at = i / BLOCK * STRIDE + i % BLOCK;
        let column = block + i % BLOCK;
        staged[at] = query_at(batch, min(tile.first + row, last_query), head, column) * shape.scale;
        staged[KEYS_AT + at] = key_at(batch, min(k + row, limit - 1), key_head, column);
      }
      workgroupBarrier();
      var part = array<f32, PAIRS>();
      for (var d = 0u; d < BLOCK; d++) {
        var a = array<vec4f, SIDE>();
        @unroll for (var r = 0u; r < SIDE; r++) {
          a[r] = staged[(first_row + r / 4u * 32u + r % 4u) * STRIDE + d];
        }
        @unroll for (var j = 0u; j < SIDE; j++) {
          let b = staged[KEYS_AT + (local.x + j * ACROSS) * STRIDE + d];
          @unroll for (var r = 0u; r < SIDE; r++) {
            part[j * SIDE + r] = dot_add(a[r], b, part[j * SIDE + r]);
          }
        }
      }
      @unroll for (var pair = 0u; pair < PAIRS; pair++) {
        products[pair] += part[pair];
      }
    }

    var larger = largest;
    @unroll for (var j = 0u; j < SIDE; j++) {
      let at = k + i32(local.x + j * ACROSS);
      @unroll for (var r = 0u; r < SIDE; r++) {
        let distance = tile.first + i32(first_row + r / 4u * 32u + r % 4u) + shape.query_offset - at;
        products[j * SIDE + r] = logit_of(cap(products[j * SIDE + r]), distance, slope);
        let seen = seen_whole || (at < limit && sees(visible[r], at));
        larger[r] = max(larger[r], select(LOWEST, products[j * SIDE + r], seen));
      }
    }
    @unroll for (var r = 0u; r < SIDE; r++) {
      row_parts[local.x * TILE + first_row + r / 4u * 32u + r % 4u] = larger[r];
    }
    workgroupBarrier();
    var kept = array<f32, SIDE>();
    @unroll for (var r = 0u; r < SIDE; r++) {
      for (var x = 0u; x < ACROSS; x++) {
        larger[r] = max(larger[r], row_parts[x * TILE + first_row + r / 4u * 32u + r % 4u]);
      }
      kept[r] = exp(largest[r] - larger[r]);
      largest[r] = larger[r];
      total[r] *= kept[r];
    }
    @unroll for (var j = 0u; j < SIDE; j++) {
      let column = local.x + j * ACROSS;
      let at = k + i32(column);
      @unroll for (var f = 0u; f < 2u; f++) {
        var p = vec4f();
        @unroll for (var i = 0u; i < 4u; i++) {
          let seen = seen_whole || (at < limit && sees(visible[f * 4u + i], at));
          let probability = exp_of(products[j * SIDE + f * 4u + i] - largest[f * 4u + i]);
          total[f * 4u + i] += select(0.0, probability, seen);
          p[i] = select(UNSEEN, probability, seen);
        }
        staged[column * (TILE / 4u) + local.y + f * ACROSS] = p;
      }
    }

    @unroll for (var block = 0u; block < VALUE_BLOCKS; block++) {
      @unroll for (var g = 0u; g < 2u; g++) {
        @unroll for (var r = 0u; r < SIDE; r++) {
          o[(block * 2u + g) * SIDE + r] *= kept[r];
        }
      }
      for (var begin = 0u; begin < TILE; begin += STAGED_KEYS) {
        workgroupBarrier();
        for (var i = index; i < STAGED_KEYS * VALUES; i += INVOCATIONS) {
          let time = min(k + i32(begin + i / VALUES), limit - 1);
          staged[VALUES_AT + i / VALUES * VALUE_STRIDE + i % VALUES] =
            value_at(batch, time, key_head, block * VALUES + i % VALUES);
        }
        workgroupBarrier();
        for (var column = 0u; column < STAGED_KEYS; column++) {
          let value_row = VALUES_AT + column * VALUE_STRIDE + local.x;
          @unroll for (var f = 0u; f < 2u; f++) {
            let factor = staged[(begin + column) * (TILE / 4u) + local.y + f * ACROSS];
            @unroll for (var g = 0u; g < 2u; g++) {
              let element = staged[value_row + g * ACROSS];
              @unroll for (var i = 0u; i < 4u; i++) {
                let sum = o[(block * 2u + g) * SIDE + f * 4u + i];
                let added = fma(vec4f(factor[i]), element, sum);
                // What is not seen is left out: 0 times NaN is NaN.
                o[(block * 2u + g) * SIDE + f * 4u + i] = select(added, sum, factor[i] == UNSEEN);
              }
            }
          }
        }
      }
    }
    k = next_key(walk, k, i32(TILE));
  }

  workgroupBarrier();
  @unroll for (var r = 0u; r < SIDE; r++) {
    row_parts[local.x * TILE + first_row + r / 4u * 32u + r % 4u] = total[r];
  }
  workgroupBarrier();
  @unroll for (var r = 0u; r < SIDE; r++) {
    let row = first_row + r / 4u * 32u + r % 4u;
    let time = tile.first + i32(row);
    if (time < shape.query_time) {
      var sum = 0.0;
      for (var x = 0u; x < ACROSS; x++) {
        sum += row_parts[x * TILE + row];
      }
      let any = sees_any(visible[r], shape.walk_last);
      let normalizer = select(0.0, 1.0 / sum, any);
      @unroll for (var b = 0u; b < 2u * VALUE_BLOCKS; b++) {
        let column = b * ACROSS + local.x;
        if (column < VALUE) {
          let at = query_row(batch, time, head) * VALUE + column;
          y[at] = vec4<Element>(o[b * SIDE + r] * normalizer);
        }
      }
      if (local.x == 0u) {
        log_sum_exp[term_row(batch, time, head)] =
          select(NOTHING_SEEN, log_sum(largest[r], sum), any);
      }
    }
  }
}
