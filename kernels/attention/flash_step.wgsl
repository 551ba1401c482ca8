// One query against many keys, split over the keys: each workgroup takes CHUNK of those that the query sees and
// leaves their largest logit, their sum of exponentials and their weighted sum of values
// (Flash-Decoding, Dao, Haziza, Massa & Sizov 2023); flash_step_combine makes one of all chunks.
// Dispatch: x = heads, so that heads that read the same rows run together, y = chunks, z = batch.

const HEAD: u32 = 16u; // vec4s of a query and of a key
const VALUE: u32 = 16u; // vec4s of a value

alias Element = f32; // or f16: how rows are stored; all arithmetic is in f32

override LANES: u32 = 64u;
override CHUNK: u32 = 256u;
override SCALE: f32 = 0.125;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> query: array<vec4<Element>>; // [batch, 1, heads, HEAD]
@group(0) @binding(2) var<storage, read> key: array<vec4<Element>>; // [batch, key_time, key_heads, HEAD]
@group(0) @binding(3) var<storage, read> value: array<vec4<Element>>; // [batch, key_time, key_heads, VALUE]
@group(0) @binding(4) var<storage, read> alibi_slopes: array<f32>; // [heads]
@group(0) @binding(5) var<storage, read_write> partial: array<vec4f>; // [batch, heads, chunks, VALUE]
@group(0) @binding(6) var<storage, read_write> weights: array<vec2f>; // [batch, heads, chunks]: largest logit, sum

var<workgroup> probabilities: array<f32, CHUNK>;
var<workgroup> sums: array<vec4f, LANES>;

@compute @workgroup_size(LANES)
fn flash_step(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let head = workgroup.x;
  let batch = workgroup.z;
  let key_row = batch * u32(shape.key_time);
  let key_head = head / (shape.heads / shape.key_heads);
  let query_row = batch * shape.heads + head;
  var slope = 0.0;
  if (HAS_ALIBI) {
    slope = alibi_slopes[head];
  }
  // The keys seen, numbered one after another: first the sinks before the window, then the window.
  let visible = visible_keys(shape.query_offset, vec2i(0, shape.key_length));
  let sinks = max(0, min(visible.sinks_end, min(visible.low, visible.high)));
  let seen = sinks + max(0, visible.high - visible.low);
  let chunk = i32(workgroup.y * CHUNK);
  let count = u32(clamp(seen - chunk, 0, i32(CHUNK)));

  var largest = MASKED;
  for (var i = local.x; i < CHUNK; i += LANES) {
    var logit = MASKED;
    if (i < count) {
      let at = key_position(chunk + i32(i), sinks, visible.low);
      let row = (key_row + u32(at)) * shape.key_heads + key_head;
      var score = 0.0;
      for (var d = 0u; d < HEAD; d++) {
        score = dot_add(vec4f(query[query_row * HEAD + d]), vec4f(key[row * HEAD + d]), score);
      }
      logit = cap(score * SCALE) + bias(shape.query_offset - at, slope);
    }
    probabilities[i] = logit;
    largest = max(largest, logit);
  }
  largest = max_lanes(local.x, largest);
  var sum = 0.0;
  for (var i = local.x; i < CHUNK; i += LANES) {
    let p = select(0.0, exp(probabilities[i] - largest), i < count);
    probabilities[i] = p;
    sum += p;
  }
  sum = sum_lanes(local.x, sum); // all lanes see the probabilities from here on

  // SHARES invocations share a vec4 of the value, each with every SHARES-th key.
  let columns = min(VALUE, LANES);
  let shares = LANES / columns;
  let column = local.x % columns;
  let share = local.x / columns;
  for (var block = 0u; block < VALUE; block += columns) {
    var o = vec4f();
    if (block + column < VALUE && share < shares) {
      for (var i = share; i < count; i += shares) {
        let at = key_position(chunk + i32(i), sinks, visible.low);
        let row = (key_row + u32(at)) * shape.key_heads + key_head;
        o = fma(vec4f(probabilities[i]), vec4f(value[row * VALUE + block + column]), o);
      }
    }
    sums[local.x] = o;
    workgroupBarrier();
    if (block + column < VALUE && share == 0u) {
      for (var other = 1u; other < shares; other++) {
        o += sums[other * columns + column];
      }
      partial[(query_row * workgroups.y + workgroup.y) * VALUE + block + column] = o;
    }
    workgroupBarrier();
  }
  if (local.x == 0u) {
    weights[query_row * workgroups.y + workgroup.y] = vec2f(largest, sum);
  }
}

fn key_position(index: i32, sinks: i32, low: i32) -> i32 {
  return select(index - sinks + low, index, index < sinks);
}
