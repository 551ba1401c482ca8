// Softmax attention with an online softmax over tiles of keys, as flash_forward_rows, with the tiles in workgroup
// memory. A tile of 32 queries walks the keys 32 at a time; rows are staged 8 vec4s at a time.
// Dispatch: x = ceil(query_time / 32), y = heads, z = batch.

const HEAD: u32 = 16u; // vec4s of a query and of a key
const VALUE: u32 = 16u; // vec4s of a value
const VALUE_BLOCKS: u32 = 2u; // ceil(VALUE / 8)

alias Element = f32; // or f16: how rows are stored; all arithmetic is in f32

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

// The row of a query, or the last one's past the end.
fn query_row(batch: u32, time: i32, head: u32) -> u32 {
  let last = min(time, shape.query_time - 1);
  return (batch * u32(shape.query_time) + u32(last)) * shape.heads + head;
}

@compute @workgroup_size(8, 8)
fn flash_forward_tiles(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let head = workgroup.y;
  let batch = workgroup.z;
  let key_row = batch * u32(shape.key_time);
  let key_head = head / (shape.heads / shape.key_heads);
  var slope = 0.0;
  if (HAS_ALIBI) {
    slope = alibi_slopes[head];
  }
  let tile = i32(workgroup.x * TILE);
  let first = tile + i32(local.y);

  var o: array<mat4x4f, VALUE_BLOCKS>;
  var largest = vec4f(MASKED);
  var total = vec4f(); // over the columns of this invocation
  var visible: array<Visible, SIDE>;
  for (var i = 0u; i < SIDE; i++) { // unrolled
    let time = min(first + i32(i * 8u), shape.query_time - 1);
    if (CONTINUES) {
      let row = query_row(batch, time, head) * VALUE;
      for (var block = 0u; block < VALUE_BLOCKS; block++) { // unrolled
        let column = block * VECTORS + local.x;
        if (column < VALUE) {
          o[block][i] = vec4f(y[row + column]);
        }
      }
      largest[i] = log_sum_exp[(batch * shape.heads + head) * u32(shape.query_time) + u32(time)];
      total[i] = select(0.0, 1.0, local.x == 0u && largest[i] > MASKED);
    }
    visible[i] = visible_keys(time + shape.query_offset, segment_of(time));
  }

  let tile_last = min(tile + i32(TILE), shape.query_time) - 1;
  let tile_visible = visible_keys(tile + shape.query_offset, segment_of(tile));
  let begin = max(tile_visible.low, shape.walk_first);
  let high = visible_keys(tile_last + shape.query_offset, segment_of(tile_last)).high;
  let end = min(high, shape.walk_last);
  let sinks_end = min(tile_visible.sinks_end, min(begin, end));
  let start = max(tile_visible.start, shape.walk_first);
  var k = select(begin, start, start < sinks_end);
  while (k < end) {
    let limit = select(end, sinks_end, k < sinks_end);
    var logits = mat4x4f();
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
      logits += staged_products(local);
    }
    var larger = largest;
    for (var j = 0u; j < SIDE; j++) { // unrolled
      let at = k + i32(local.x + j * 8u);
      for (var i = 0u; i < SIDE; i++) { // unrolled
        let distance = first + i32(i * 8u) + shape.query_offset - at;
        let logit = cap(logits[j][i]) + bias(distance, slope);
        logits[j][i] = select(MASKED, logit, at < limit && sees(visible[i], at));
      }
      larger = max(larger, logits[j]);
    }
    reduced[local.x * 8u + local.y] = larger;
    workgroupBarrier();
    for (var x = 0u; x < 8u; x++) {
      larger = max(larger, reduced[x * 8u + local.y]);
    }
    let kept = exp(largest - larger);
    largest = larger;
    total *= kept;
    for (var j = 0u; j < SIDE; j++) { // unrolled
      logits[j] = select(exp(logits[j] - larger), vec4f(), logits[j] <= vec4f(MASKED));
      total += logits[j];
    }
    store_factors(local, logits);
    for (var block = 0u; block < VALUE_BLOCKS; block++) { // unrolled
      workgroupBarrier();
      for (var i = lane; i < TILE * VECTORS; i += 64u) {
        let column = block * VECTORS + i % VECTORS;
        var from_value = vec4f();
        if (column < VALUE) {
          let at = u32(min(k + i32(i / VECTORS), limit - 1));
          from_value = vec4f(value[((key_row + at) * shape.key_heads + key_head) * VALUE + column]);
        }
        right[i / VECTORS * STRIDE + i % VECTORS] = from_value;
      }
      workgroupBarrier();
      let sum = weighted_sum(local);
      o[block] = mat4x4f(
        o[block][0] * kept.x + sum[0],
        o[block][1] * kept.y + sum[1],
        o[block][2] * kept.z + sum[2],
        o[block][3] * kept.w + sum[3],
      );
    }
    k += i32(TILE);
    if (limit < end && k >= sinks_end) {
      k = begin;
    }
  }

  workgroupBarrier();
  reduced[local.x * 8u + local.y] = total;
  workgroupBarrier();
  total = vec4f();
  for (var x = 0u; x < 8u; x++) {
    total += reduced[x * 8u + local.y];
  }
  let normalizer = select(vec4f(), 1.0 / total, total > vec4f());
  for (var i = 0u; i < SIDE; i++) { // unrolled
    let time = first + i32(i * 8u);
    if (time < shape.query_time) {
      let row = query_row(batch, time, head) * VALUE;
      for (var block = 0u; block < VALUE_BLOCKS; block++) { // unrolled
        let column = block * VECTORS + local.x;
        if (column < VALUE) {
          y[row + column] = vec4<Element>(o[block][i] * normalizer[i]);
        }
      }
      if (local.x == 0u) {
        log_sum_exp[(batch * shape.heads + head) * u32(shape.query_time) + u32(time)] =
          select(MASKED, largest[i] + log(total[i]), total[i] > 0.0);
      }
    }
  }
}
