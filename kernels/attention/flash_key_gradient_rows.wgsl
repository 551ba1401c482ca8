// Key and value gradients of softmax attention (FlashAttention-2, Dao 2023, Algorithm 2), with p and ds as in
// flash_query_gradient_rows:
//   dv = sum over queries of p * dy, dk = scale * sum over queries of ds * query,
// over all query heads that share the key head. An invocation holds ROWS keys, their values and the gradients
// of both in registers; all invocations walk the same queries.
// Dispatch: x = ceil(key_time / (LANES * ROWS)), y = key_heads, z = batch.

const HEAD: u32 = 16u; // vec4s of a query and of a key
const VALUE: u32 = 16u; // vec4s of a value
const ROWS: u32 = 4u; // keys an invocation

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
@group(0) @binding(7) var<storage, read_write> key_gradient: array<vec4<Element>>; // [batch, key_time, key_heads, HEAD]
@group(0) @binding(8) var<storage, read_write> value_gradient: array<vec4<Element>>; // [batch, key_time, key_heads, VALUE]

@compute @workgroup_size(LANES)
fn flash_key_gradient_rows(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let key_head = workgroup.y;
  let batch = workgroup.z;
  let key_row = batch * u32(shape.key_time);
  let query_row = batch * u32(shape.query_time);
  let group = shape.heads / shape.key_heads;
  let tile = i32(workgroup.x * LANES * ROWS);
  let first = tile + i32(local.x * ROWS);

  var k: array<vec4f, ROWS * HEAD>;
  var v: array<vec4f, ROWS * VALUE>;
  var dk: array<vec4f, ROWS * HEAD>;
  var dv: array<vec4f, ROWS * VALUE>;
  for (var r = 0u; r < ROWS; r++) { // unrolled
    let at = min(first + i32(r), max(shape.key_length, 1) - 1);
    let row = (key_row + u32(at)) * shape.key_heads + key_head;
    for (var d = 0u; d < HEAD; d++) { // unrolled
      k[r * HEAD + d] = vec4f(key[row * HEAD + d]) * SCALE;
      dk[r * HEAD + d] = vec4f();
    }
    for (var d = 0u; d < VALUE; d++) { // unrolled
      v[r * VALUE + d] = vec4f(value[row * VALUE + d]);
      dv[r * VALUE + d] = vec4f();
    }
  }

  let times = seeing_queries(tile, min(tile + i32(LANES * ROWS), shape.key_length) - 1, batch);
  for (var head = key_head * group; head < (key_head + 1u) * group; head++) {
    let term_row = (batch * shape.heads + head) * u32(shape.query_time);
    var slope = 0.0;
    if (HAS_ALIBI) {
      slope = alibi_slopes[head];
    }
    for (var time = times.x; time < times.y; time++) {
      let row = (query_row + u32(time)) * shape.heads + head;
      let term = terms[term_row + u32(time)];
      let position = time + shape.query_offset;
      let visible = visible_keys(position, vec2i(term.zw));
      var score = array<f32, ROWS>();
      var dp = array<f32, ROWS>();
      for (var d = 0u; d < HEAD; d++) { // unrolled
        let element = vec4f(query[row * HEAD + d]);
        for (var r = 0u; r < ROWS; r++) { // unrolled
          score[r] = dot_add(k[r * HEAD + d], element, score[r]);
        }
      }
      for (var d = 0u; d < VALUE; d++) { // unrolled
        let element = vec4f(y_gradient[row * VALUE + d]);
        for (var r = 0u; r < ROWS; r++) { // unrolled
          dp[r] = dot_add(v[r * VALUE + d], element, dp[r]);
        }
      }
      for (var r = 0u; r < ROWS; r++) { // unrolled
        let at = first + i32(r);
        let capped = cap(score[r]);
        let logit = capped + bias(position - at, slope);
        let p = select(0.0, exp(logit - bitcast<f32>(term.x)), sees(visible, at));
        dp[r] = p * (dp[r] - bitcast<f32>(term.y)) * cap_slope(capped);
        score[r] = p;
      }
      for (var d = 0u; d < VALUE; d++) { // unrolled
        let element = vec4f(y_gradient[row * VALUE + d]);
        for (var r = 0u; r < ROWS; r++) { // unrolled
          dv[r * VALUE + d] = fma(vec4f(score[r]), element, dv[r * VALUE + d]);
        }
      }
      for (var d = 0u; d < HEAD; d++) { // unrolled
        let element = vec4f(query[row * HEAD + d]);
        for (var r = 0u; r < ROWS; r++) { // unrolled
          dk[r * HEAD + d] = fma(vec4f(dp[r]), element, dk[r * HEAD + d]);
        }
      }
    }
  }

  for (var r = 0u; r < ROWS; r++) { // unrolled
    let at = first + i32(r);
    if (at < shape.key_time) {
      let row = (key_row + u32(at)) * shape.key_heads + key_head;
      for (var d = 0u; d < HEAD; d++) { // unrolled
        var sum = dk[r * HEAD + d] * SCALE;
        if (CONTINUES) {
          sum += vec4f(key_gradient[row * HEAD + d]);
        }
        key_gradient[row * HEAD + d] = vec4<Element>(sum);
      }
      for (var d = 0u; d < VALUE; d++) { // unrolled
        var sum = dv[r * VALUE + d];
        if (CONTINUES) {
          sum += vec4f(value_gradient[row * VALUE + d]);
        }
        value_gradient[row * VALUE + d] = vec4<Element>(sum);
      }
    }
  }
}
