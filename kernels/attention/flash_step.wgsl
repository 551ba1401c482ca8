// One query against many keys, split over the keys: each workgroup takes CHUNK of those that the query sees and
// leaves their largest logit, their sum of exponentials and their weighted sum of values
// (Flash-Decoding, Dao, Haziza, Massa & Sizov 2023); flash_step_combine makes one of all chunks.
// Dispatch: batch * chunks * heads workgroups, folded; heads that read the same rows run together.

@if(SUBGROUPS)
import package::attention::join_subgroups::{workgroup_max, workgroup_sum};
@else
import package::attention::join_workgroup::{workgroup_max, workgroup_sum};
import package::attention::logits::{LOWEST, cap, dot_add, logit_of};
import package::attention::problem::{
  HEAD, VALUE, alibi_slope, key, key_head_of, key_row, query, query_row, shape, value,
};
import package::attention::visibility::visible_from;
import package::common::invocations::WORKGROUP_SIZE;
import package::common::numbers::exp_of;
import package::common::workgroups::{Workgroup, number_of_workgroup};

override CHUNK: u32 = 256u;

@if(HAS_POSITION)
@group(0) @binding(7) var<storage, read> position: array<u32>; // [1]: the query's; else from the options
@group(0) @binding(5) var<storage, read_write> partial: array<vec4f>; // [batch, heads, chunks, VALUE]
@group(0) @binding(6) var<storage, read_write> weights: array<vec2f>; // [batch, heads, chunks]: largest logit, sum

var<workgroup> probabilities: array<f32, CHUNK>;
var<workgroup> sums: array<vec4f, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn flash_step(workgroup: Workgroup, @builtin(local_invocation_index) local: u32) {
  // The keys seen, numbered one after another: first the sinks before the window, then the window.
  var query_position = shape.query_offset;
  var key_length = shape.key_length;
  @if(HAS_POSITION) {
    query_position = i32(position[0]);
    key_length = query_position + 1;
  }
  let visible = visible_from(query_position, vec2i(0, key_length));
  let sinks = max(0, min(visible.sinks_end, min(visible.low, visible.high)));
  let seen = sinks + max(0, visible.high - visible.low);
  var most = seen; // at any position: chunks past the last key leave nothing
  @if(HAS_POSITION)
  most = min(shape.key_time, shape.window + shape.sinks);
  let chunks = max(1u, (u32(most) + CHUNK - 1u) / CHUNK);

  let number = number_of_workgroup(workgroup);
  let head = number % shape.heads;
  let chunk = number / shape.heads % chunks;
  let batch = number / shape.heads / chunks;
  if (batch >= shape.batch) {
    return;
  }
  let key_head = key_head_of(head);
  let slope = alibi_slope(head);
  let first = i32(chunk * CHUNK);
  let count = u32(clamp(seen - first, 0, i32(CHUNK)));
  let part = (batch * shape.heads + head) * chunks + chunk;
  let first_row = key_row(batch, 0, key_head);
  let next_row = shape.key_heads; // from a key's row to the next key's
  let query_start = query_row(batch, 0, head) * HEAD;

  var largest = LOWEST;
  for (var i = local; i < CHUNK; i += WORKGROUP_SIZE) {
    var logit = LOWEST;
    if (i < count) {
      let at = key_position(first + i32(i), sinks, visible.low);
      let key_start = (first_row + row_of(at) * next_row) * HEAD;
      var score = 0.0;
      for (var d = 0u; d < HEAD; d++) {
        score = dot_add(vec4f(query[query_start + d]), vec4f(key[key_start + d]), score);
      }
      logit = logit_of(cap(score * shape.scale), query_position - at, slope);
    }
    probabilities[i] = logit;
    largest = max(largest, logit);
  }
  largest = workgroup_max(local, largest);
  var sum = 0.0;
  for (var i = local; i < CHUNK; i += WORKGROUP_SIZE) {
    let p = select(0.0, exp_of(probabilities[i] - largest), i < count);
    probabilities[i] = p;
    sum += p;
  }
  sum = workgroup_sum(local, sum); // all invocations see the probabilities from here on

  // `shares` invocations share a vec4 of the value, each with every shares-th key.
  let columns = min(VALUE, WORKGROUP_SIZE);
  let shares = WORKGROUP_SIZE / columns;
  let column = local % columns;
  let share = local / columns;
  for (var block = 0u; block < VALUE; block += columns) {
    var o = vec4f();
    if (block + column < VALUE && share < shares) {
      for (var i = share; i < count; i += shares) {
        let at = key_position(first + i32(i), sinks, visible.low);
        let row = first_row + row_of(at) * next_row;
        o = fma(vec4f(probabilities[i]), vec4f(value[row * VALUE + block + column]), o);
      }
    }
    sums[local] = o;
    workgroupBarrier();
    if (block + column < VALUE && share == 0u) {
      for (var other = 1u; other < shares; other++) {
        o += sums[other * columns + column];
      }
      partial[part * VALUE + block + column] = o;
    }
    workgroupBarrier();
  }
  if (local == 0u) {
    weights[part] = vec2f(largest, sum);
  }
}

fn key_position(index: i32, sinks: i32, low: i32) -> i32 {
  return select(index - sinks + low, index, index < sinks);
}

// The row of a key in the cache: where the position is a tensor, a full one is a ring behind its sinks.
fn row_of(at: i32) -> u32 {
  @if(HAS_POSITION) {
    let ring = max(1, shape.key_time - shape.sinks);
    return u32(select(shape.sinks + (at - shape.sinks) % ring, at, at < shape.key_time));
  }
  @else
  return u32(at);
}
