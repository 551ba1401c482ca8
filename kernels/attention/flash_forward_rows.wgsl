// Softmax attention with an online softmax over keys (FlashAttention-2, Dao 2023, Algorithm 1). With m the
// largest logit so far, l the sum of exponentials and o the weighted sum of values, a key with logit s does
//   m' = max(m, s), l' = l * exp(m - m') + exp(s - m'), o' = o * exp(m - m') + exp(s - m') * value,
// and at the end y = o / l, log_sum_exp = m + log(l).
// An invocation holds ROWS queries and their outputs in registers. All invocations walk the same keys, so that
// a SIMD machine loads each once for all its lanes.
// Dispatch: x = ceil(query_time / (LANES * ROWS)), y = heads, z = batch.

const HEAD: u32 = 16u; // vec4s of a query and of a key
const VALUE: u32 = 16u; // vec4s of a value
const ROWS: u32 = 4u; // queries an invocation

alias Element = f32; // or f16: how rows are stored; all arithmetic is in f32

override LANES: u32 = 8u;
override SCALE: f32 = 0.125;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> query: array<vec4<Element>>; // [batch, query_time, heads, HEAD]
@group(0) @binding(2) var<storage, read> key: array<vec4<Element>>; // [batch, key_time, key_heads, HEAD]
@group(0) @binding(3) var<storage, read> value: array<vec4<Element>>; // [batch, key_time, key_heads, VALUE]
@group(0) @binding(4) var<storage, read> alibi_slopes: array<f32>; // [heads]
@group(0) @binding(5) var<storage, read> segments: array<vec2i>; // [query_time]
@group(0) @binding(6) var<storage, read_write> y: array<vec4<Element>>; // [batch, query_time, heads, VALUE]
@group(0) @binding(7) var<storage, read_write> log_sum_exp: array<f32>; // [batch, heads, query_time]

fn segment_of(time: i32) -> vec2i {
  if (HAS_SEGMENTS) {
    return segments[time];
  }
  return vec2i(0, shape.key_length);
}

@compute @workgroup_size(LANES)
fn flash_forward_rows(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let head = workgroup.y;
  let batch = workgroup.z;
  let key_row = batch * u32(shape.key_time);
  let key_head = head / (shape.heads / shape.key_heads);
  var slope = 0.0;
  if (HAS_ALIBI) {
    slope = alibi_slopes[head];
  }
  let tile = i32(workgroup.x * LANES * ROWS);
  let first = tile + i32(local.x * ROWS);

  var q: array<vec4f, ROWS * HEAD>;
  var o: array<vec4f, ROWS * VALUE>;
  var largest: array<f32, ROWS>;
  var total: array<f32, ROWS>;
  var position: array<i32, ROWS>;
  var visible: array<Visible, ROWS>;
  for (var r = 0u; r < ROWS; r++) { // unrolled
    let time = min(first + i32(r), shape.query_time - 1);
    let row = (batch * u32(shape.query_time) + u32(time)) * shape.heads + head;
    for (var d = 0u; d < HEAD; d++) { // unrolled
      q[r * HEAD + d] = vec4f(query[row * HEAD + d]) * SCALE;
    }
    for (var d = 0u; d < VALUE; d++) { // unrolled
      o[r * VALUE + d] = vec4f();
    }
    largest[r] = MASKED;
    total[r] = 0.0;
    if (CONTINUES) {
      for (var d = 0u; d < VALUE; d++) { // unrolled
        o[r * VALUE + d] = vec4f(y[row * VALUE + d]);
      }
      largest[r] = log_sum_exp[(batch * shape.heads + head) * u32(shape.query_time) + u32(time)];
      total[r] = select(0.0, 1.0, largest[r] > MASKED);
    }
    position[r] = time + shape.query_offset;
    visible[r] = visible_keys(position[r], segment_of(time));
  }

  // The keys that the tile sees: those from the first query's window to the last query's end, and
  // before them the sinks of the first query's segment.
  let tile_last = min(tile + i32(LANES * ROWS), shape.query_time) - 1;
  let tile_visible = visible_keys(tile + shape.query_offset, segment_of(tile));
  let begin = max(tile_visible.low, shape.walk_first);
  let high = visible_keys(tile_last + shape.query_offset, segment_of(tile_last)).high;
  let end = min(high, shape.walk_last);
  let sinks_end = min(tile_visible.sinks_end, min(begin, end));
  let start = max(tile_visible.start, shape.walk_first);
  var k = select(begin, start, start < sinks_end);
  while (k < end) {
    let row = (key_row + u32(k)) * shape.key_heads + key_head;
    var score = array<f32, ROWS>();
    for (var d = 0u; d < HEAD; d++) { // unrolled
      let element = vec4f(key[row * HEAD + d]);
      for (var r = 0u; r < ROWS; r++) { // unrolled
        score[r] = dot_add(q[r * HEAD + d], element, score[r]);
      }
    }
    var p: array<f32, ROWS>;
    var kept: array<f32, ROWS>;
    for (var r = 0u; r < ROWS; r++) { // unrolled
      let seen = sees(visible[r], k);
      let logit = select(MASKED, cap(score[r]) + bias(position[r] - k, slope), seen);
      let larger = max(largest[r], logit);
      kept[r] = exp(largest[r] - larger);
      p[r] = select(0.0, exp(logit - larger), seen);
      total[r] = fma(total[r], kept[r], p[r]);
      largest[r] = larger;
    }
    for (var d = 0u; d < VALUE; d++) { // unrolled
      let element = vec4f(value[row * VALUE + d]);
      for (var r = 0u; r < ROWS; r++) { // unrolled
        o[r * VALUE + d] = fma(vec4f(p[r]), element, o[r * VALUE + d] * kept[r]);
      }
    }
    k++;
    if (k == sinks_end) {
      k = begin;
    }
  }

  for (var r = 0u; r < ROWS; r++) { // unrolled
    let time = first + i32(r);
    if (time < shape.query_time) {
      let row = (batch * u32(shape.query_time) + u32(time)) * shape.heads + head;
      let sees_any = total[r] > 0.0;
      let normalizer = select(0.0, 1.0 / total[r], sees_any);
      for (var d = 0u; d < VALUE; d++) { // unrolled
        y[row * VALUE + d] = vec4<Element>(o[r * VALUE + d] * normalizer);
      }
      log_sum_exp[(batch * shape.heads + head) * u32(shape.query_time) + u32(time)] =
        select(MASKED, largest[r] + log(total[r]), sees_any);
    }
  }
}
