// Query gradient of softmax attention (FlashAttention-2, Dao 2023, Algorithm 2). The probabilities are made
// again from log_sum_exp; with delta = sum of dy * y,
//   p = exp(logit - log_sum_exp), dp = dy · value, ds = p * (dp - delta) * cap', dq = scale * sum of ds * key.
// An invocation holds ROWS queries, their output gradients and their gradients in registers.
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
@group(0) @binding(4) var<storage, read> y_gradient: array<vec4<Element>>; // [batch, query_time, heads, VALUE]
@group(0) @binding(5) var<storage, read> terms: array<vec4u>; // [batch, heads, query_time]
@group(0) @binding(6) var<storage, read> alibi_slopes: array<f32>; // [heads]
@group(0) @binding(7) var<storage, read_write> query_gradient: array<vec4<Element>>; // [batch, query_time, heads, HEAD]

@compute @workgroup_size(LANES)
fn flash_query_gradient_rows(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let head = workgroup.y;
  let batch = workgroup.z;
  let key_row = batch * u32(shape.key_time);
  let key_head = head / (shape.heads / shape.key_heads);
  let term_row = (batch * shape.heads + head) * u32(shape.query_time);
  var slope = 0.0;
  if (HAS_ALIBI) {
    slope = alibi_slopes[head];
  }
  let tile = i32(workgroup.x * LANES * ROWS);
  let first = tile + i32(local.x * ROWS);

  var q: array<vec4f, ROWS * HEAD>;
  var dy: array<vec4f, ROWS * VALUE>;
  var dq: array<vec4f, ROWS * HEAD>;
  var lse: array<f32, ROWS>;
  var delta: array<f32, ROWS>;
  var position: array<i32, ROWS>;
  var visible: array<Visible, ROWS>;
  for (var r = 0u; r < ROWS; r++) { // unrolled
    let time = min(first + i32(r), shape.query_time - 1);
    let row = (batch * u32(shape.query_time) + u32(time)) * shape.heads + head;
    for (var d = 0u; d < HEAD; d++) { // unrolled
      q[r * HEAD + d] = vec4f(query[row * HEAD + d]) * SCALE;
      dq[r * HEAD + d] = vec4f();
    }
    for (var d = 0u; d < VALUE; d++) { // unrolled
      dy[r * VALUE + d] = vec4f(y_gradient[row * VALUE + d]);
    }
    let term = terms[term_row + u32(time)];
    lse[r] = bitcast<f32>(term.x);
    delta[r] = bitcast<f32>(term.y);
    position[r] = time + shape.query_offset;
    visible[r] = visible_keys(position[r], vec2i(term.zw));
  }

  let tile_last = min(tile + i32(LANES * ROWS), shape.query_time) - 1;
  let tile_visible = visible_keys(
    tile + shape.query_offset,
    vec2i(terms[term_row + u32(tile)].zw),
  );
  let begin = max(tile_visible.low, shape.walk_first);
  let high = visible_keys(
    tile_last + shape.query_offset,
    vec2i(terms[term_row + u32(tile_last)].zw),
  ).high;
  let end = min(high, shape.walk_last);
  let sinks_end = min(tile_visible.sinks_end, min(begin, end));
  let start = max(tile_visible.start, shape.walk_first);
  var k = select(begin, start, start < sinks_end);
  while (k < end) {
    let row = (key_row + u32(k)) * shape.key_heads + key_head;
    var score = array<f32, ROWS>();
    var dp = array<f32, ROWS>();
    for (var d = 0u; d < HEAD; d++) { // unrolled
      let element = vec4f(key[row * HEAD + d]);
      for (var r = 0u; r < ROWS; r++) { // unrolled
        score[r] = dot_add(q[r * HEAD + d], element, score[r]);
      }
    }
    for (var d = 0u; d < VALUE; d++) { // unrolled
      let element = vec4f(value[row * VALUE + d]);
      for (var r = 0u; r < ROWS; r++) { // unrolled
        dp[r] = dot_add(dy[r * VALUE + d], element, dp[r]);
      }
    }
    for (var r = 0u; r < ROWS; r++) { // unrolled
      let capped = cap(score[r]);
      let logit = capped + bias(position[r] - k, slope);
      let p = select(0.0, exp(logit - lse[r]), sees(visible[r], k));
      dp[r] = p * (dp[r] - delta[r]) * cap_slope(capped);
    }
    for (var d = 0u; d < HEAD; d++) { // unrolled
      let element = vec4f(key[row * HEAD + d]);
      for (var r = 0u; r < ROWS; r++) { // unrolled
        dq[r * HEAD + d] = fma(vec4f(dp[r]), element, dq[r * HEAD + d]);
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
      for (var d = 0u; d < HEAD; d++) { // unrolled
        var sum = dq[r * HEAD + d] * SCALE;
        if (CONTINUES) {
          sum += vec4f(query_gradient[row * HEAD + d]);
        }
        query_gradient[row * HEAD + d] = vec4<Element>(sum);
      }
    }
  }
}
