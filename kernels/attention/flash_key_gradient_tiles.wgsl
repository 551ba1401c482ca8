// Key and value gradients of softmax attention, as flash_key_gradient_rows, with the tiles in workgroup memory. A
// tile of 32 keys walks the queries of every head of its group 32 at a time.
// Dispatch: x = ceil(key_time / 32), y = key_heads, z = batch.

const HEAD: u32 = 16u; // vec4s of a query and of a key
const VALUE: u32 = 16u; // vec4s of a value
const HEAD_BLOCKS: u32 = 2u; // ceil(HEAD / 8)
const VALUE_BLOCKS: u32 = 2u; // ceil(VALUE / 8)

alias Element = f32; // or f16: how rows are stored; all arithmetic is in f32

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

@compute @workgroup_size(8, 8)
fn flash_key_gradient_tiles(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let key_head = workgroup.y;
  let batch = workgroup.z;
  let key_row = batch * u32(shape.key_time);
  let query_row = batch * u32(shape.query_time);
  let group = shape.heads / shape.key_heads;
  let tile = i32(workgroup.x * TILE);
  let first = tile + i32(local.y);
  let last_key = max(shape.key_length, 1) - 1;

  var dk: array<mat4x4f, HEAD_BLOCKS>;
  var dv: array<mat4x4f, VALUE_BLOCKS>;
  let times = seeing_queries(tile, min(tile + i32(TILE), shape.key_length) - 1, batch);
  for (var head = key_head * group; head < (key_head + 1u) * group; head++) {
    let term_row = (batch * shape.heads + head) * u32(shape.query_time);
    var slope = 0.0;
    if (HAS_ALIBI) {
      slope = alibi_slopes[head];
    }
    for (var start = times.x; start < times.y; start += i32(TILE)) {
      var scores = mat4x4f();
      for (var block = 0u; block < HEAD; block += VECTORS) {
        workgroupBarrier();
        for (var i = lane; i < TILE * VECTORS; i += 64u) {
          let row = i / VECTORS;
          let column = block + i % VECTORS;
          var from_key = vec4f();
          var from_query = vec4f();
          if (column < HEAD) {
            let at = u32(min(tile + i32(row), last_key));
            let time = u32(min(start + i32(row), times.y - 1));
            from_key = vec4f(key[((key_row + at) * shape.key_heads + key_head) * HEAD + column]);
            from_query = vec4f(query[((query_row + time) * shape.heads + head) * HEAD + column]);
          }
          left[row * STRIDE + i % VECTORS] = from_key * SCALE;
          right[row * STRIDE + i % VECTORS] = from_query;
        }
        workgroupBarrier();
        scores += staged_products(local);
      }
      var dp = mat4x4f();
      for (var block = 0u; block < VALUE; block += VECTORS) {
        workgroupBarrier();
        for (var i = lane; i < TILE * VECTORS; i += 64u) {
          let row = i / VECTORS;
          let column = block + i % VECTORS;
          var from_value = vec4f();
          var from_gradient = vec4f();
          if (column < VALUE) {
            let at = u32(min(tile + i32(row), last_key));
            let time = u32(min(start + i32(row), times.y - 1));
            from_value = vec4f(value[((key_row + at) * shape.key_heads + key_head) * VALUE + column]);
            from_gradient = vec4f(y_gradient[((query_row + time) * shape.heads + head) * VALUE + column]);
          }
          left[row * STRIDE + i % VECTORS] = from_value;
          right[row * STRIDE + i % VECTORS] = from_gradient;
        }
        workgroupBarrier();
        dp += staged_products(local);
      }
      for (var j = 0u; j < SIDE; j++) { // unrolled
        let time = start + i32(local.x + j * 8u);
        let term = terms[term_row + u32(min(time, times.y - 1))];
        let position = time + shape.query_offset;
        let visible = visible_keys(position, vec2i(term.zw));
        for (var i = 0u; i < SIDE; i++) { // unrolled
          let at = first + i32(i * 8u);
          let capped = cap(scores[j][i]);
          let logit = capped + bias(position - at, slope);
          let seen = time < times.y && sees(visible, at);
          let p = select(0.0, exp(logit - bitcast<f32>(term.x)), seen);
          scores[j][i] = p;
          dp[j][i] = p * (dp[j][i] - bitcast<f32>(term.y)) * cap_slope(capped);
        }
      }
      store_factors(local, scores);
      for (var block = 0u; block < VALUE_BLOCKS; block++) { // unrolled
        workgroupBarrier();
        for (var i = lane; i < TILE * VECTORS; i += 64u) {
          let column = block * VECTORS + i % VECTORS;
          var from_gradient = vec4f();
          if (column < VALUE) {
            let time = u32(min(start + i32(i / VECTORS), times.y - 1));
            from_gradient = vec4f(y_gradient[((query_row + time) * shape.heads + head) * VALUE + column]);
          }
          right[i / VECTORS * STRIDE + i % VECTORS] = from_gradient;
        }
        workgroupBarrier();
        dv[block] += weighted_sum(local);
      }
      workgroupBarrier();
      store_factors(local, dp);
      for (var block = 0u; block < HEAD_BLOCKS; block++) { // unrolled
        workgroupBarrier();
        for (var i = lane; i < TILE * VECTORS; i += 64u) {
          let column = block * VECTORS + i % VECTORS;
          var from_query = vec4f();
          if (column < HEAD) {
            let time = u32(min(start + i32(i / VECTORS), times.y - 1));
            from_query = vec4f(query[((query_row + time) * shape.heads + head) * HEAD + column]);
          }
          right[i / VECTORS * STRIDE + i % VECTORS] = from_query;
        }
        workgroupBarrier();
        dk[block] += weighted_sum(local);
      }
    }
  }

  for (var i = 0u; i < SIDE; i++) { // unrolled
    let at = first + i32(i * 8u);
    if (at < shape.key_time) {
      let row = (key_row + u32(at)) * shape.key_heads + key_head;
      for (var block = 0u; block < HEAD_BLOCKS; block++) { // unrolled
        let column = block * VECTORS + local.x;
        if (column < HEAD) {
          var sum = dk[block][i] * SCALE;
          if (CONTINUES) {
            sum += vec4f(key_gradient[row * HEAD + column]);
          }
          key_gradient[row * HEAD + column] = vec4<Element>(sum);
        }
      }
      for (var block = 0u; block < VALUE_BLOCKS; block++) { // unrolled
        let column = block * VECTORS + local.x;
        if (column < VALUE) {
          var sum = dv[block][i];
          if (CONTINUES) {
            sum += vec4f(value_gradient[row * VALUE + column]);
          }
          value_gradient[row * VALUE + column] = vec4<Element>(sum);
        }
      }
    }
  }
}
