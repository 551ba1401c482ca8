// Query gradient of softmax attention, as flash_query_gradient_rows, with the tiles in workgroup memory.
// Dispatch: x = ceil(query_time / 32), y = heads, z = batch.

const HEAD: u32 = 16u; // vec4s of a query and of a key
const VALUE: u32 = 16u; // vec4s of a value
const HEAD_BLOCKS: u32 = 2u; // ceil(HEAD / 8)

alias Element = f32; // or f16: how rows are stored; all arithmetic is in f32

override SCALE: f32 = 0.125;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> query: array<vec4<Element>>; // [batch, query_time, heads, HEAD]
@group(0) @binding(2) var<storage, read> key: array<vec4<Element>>; // [batch, key_time, key_heads, HEAD]
@group(0) @binding(3) var<storage, read> value: array<vec4<Element>>; // [batch, key_time, key_heads, VALUE]
@group(0) @binding(4) var<storage, read> y_gradient: array<vec4<Element>>; // [batch, query_time, heads, VALUE]
@group(0) @binding(5) var<storage, read> terms: array<vec4u>; // [batch, heads, query_time]
@group(0) @binding(6) var<storage, read> alibi_slopes: array<f32>; // [heads]
@group(0) @binding(7) var<storage, read_write> query_gradient: array<vec4<Element>>; // [batch, query_time, heads, HEAD]

// The row of a query, or the last one's past the end.
fn query_row(batch: u32, time: i32, head: u32) -> u32 {
  let last = min(time, shape.query_time - 1);
  return (batch * u32(shape.query_time) + u32(last)) * shape.heads + head;
}

@compute @workgroup_size(8, 8)
fn flash_query_gradient_tiles(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
  @builtin(local_invocation_index) lane: u32,
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
  let tile = i32(workgroup.x * TILE);
  let first = tile + i32(local.y);

  var dq: array<mat4x4f, HEAD_BLOCKS>;
  var lse: vec4f;
  var delta: vec4f;
  var visible: array<Visible, SIDE>;
  for (var i = 0u; i < SIDE; i++) { // unrolled
    let time = min(first + i32(i * 8u), shape.query_time - 1);
    let term = terms[term_row + u32(time)];
    lse[i] = bitcast<f32>(term.x);
    delta[i] = bitcast<f32>(term.y);
    visible[i] = visible_keys(time + shape.query_offset, vec2i(term.zw));
  }

  let tile_last = min(tile + i32(TILE), shape.query_time) - 1;
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
    let limit = select(end, sinks_end, k < sinks_end);
    var scores = mat4x4f();
    for (var block = 0u; block < HEAD; block += VECTORS) {
      workgroupBarrier();
      for (var i = lane; i < TILE * VECTORS; i += 64u) {
        let row = i / VECTORS;
        let column = block + i % VECTORS;
        var from_query = vec4f();
        var from_key = vec4f();
        if (column < HEAD) {
          let at = u32(min(k + i32(row), limit - 1));
          from_query = vec4f(query[query_row(batch, tile + i32(row), head) * HEAD + column]);
          from_key = vec4f(key[((key_row + at) * shape.key_heads + key_head) * HEAD + column]);
        }
        left[row * STRIDE + i % VECTORS] = from_query * SCALE;
        right[row * STRIDE + i % VECTORS] = from_key;
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
        var from_gradient = vec4f();
        var from_value = vec4f();
        if (column < VALUE) {
          let at = u32(min(k + i32(row), limit - 1));
          from_gradient = vec4f(y_gradient[query_row(batch, tile + i32(row), head) * VALUE + column]);
          from_value = vec4f(value[((key_row + at) * shape.key_heads + key_head) * VALUE + column]);
        }
        left[row * STRIDE + i % VECTORS] = from_gradient;
        right[row * STRIDE + i % VECTORS] = from_value;
      }
      workgroupBarrier();
      dp += staged_products(local);
    }
    for (var j = 0u; j < SIDE; j++) { // unrolled
      let at = k + i32(local.x + j * 8u);
      for (var i = 0u; i < SIDE; i++) { // unrolled
        let capped = cap(scores[j][i]);
        let distance = first + i32(i * 8u) + shape.query_offset - at;
        let p = exp(capped + bias(distance, slope) - lse[i]);
        let ds = p * (dp[j][i] - delta[i]) * cap_slope(capped);
        scores[j][i] = select(0.0, ds, at < limit && sees(visible[i], at));
      }
    }
    store_factors(local, scores);
    for (var block = 0u; block < HEAD_BLOCKS; block++) { // unrolled
      workgroupBarrier();
      for (var i = lane; i < TILE * VECTORS; i += 64u) {
        let column = block * VECTORS + i % VECTORS;
        var from_key = vec4f();
        if (column < HEAD) {
          let at = u32(min(k + i32(i / VECTORS), limit - 1));
          from_key = vec4f(key[((key_row + at) * shape.key_heads + key_head) * HEAD + column]);
        }
        right[i / VECTORS * STRIDE + i % VECTORS] = from_key;
      }
      workgroupBarrier();
      dq[block] += weighted_sum(local);
    }
    k += i32(TILE);
    if (limit < end && k >= sinks_end) {
      k = begin;
    }
  }

  for (var i = 0u; i < SIDE; i++) { // unrolled
    let time = first + i32(i * 8u);
    if (time < shape.query_time) {
      let row = query_row(batch, time, head) * HEAD;
      for (var block = 0u; block < HEAD_BLOCKS; block++) { // unrolled
        let column = block * VECTORS + local.x;
        if (column < HEAD) {
          var sum = dq[block][i] * SCALE;
          if (CONTINUES) {
            sum += vec4f(query_gradient[row + column]);
          }
          query_gradient[row + column] = vec4<Element>(sum);
        }
      }
    }
  }
}
