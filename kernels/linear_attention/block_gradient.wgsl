// What the tokens of a block of 8 do to each other's gradients, and the decay to the borders of the
// block; the gradients hold what comes from outside it. With E_ij = exp(sum of g from j + 1 to i) and
// B_ij = SCALE * output_gradient_i · value_j, for j ≤ i in the block and each key alone:
//   query_gradient_i = exp(sum of g from the block's start to i) * query_gradient_i + sum_j B_ij E_ij key_j
//   key_gradient_j = exp(sum of g after j) * key_gradient_j + sum_i B_ij E_ij query_i
//   log_decay_gradient_t += sum of the parts of query_i * query_gradient_i from before the block, i ≥ t
//                         + sum of the parts of key_j * key_gradient_j from after the block, j < t
//                         + sum of query_i B_ij E_ij key_j for j < t ≤ i
// With BONUS an output reads the state before its token's update: E stops before i, j < i, t < i.
// Nothing is subtracted. j walks back, E_ij of all rows i with it.
// Dispatch: one invocation per chunk, block, head and 4 keys.

override WORKGROUP_SIZE: u32 = 64u;
override PER_KEY: bool = true; // log_decay per key; else per head
override BONUS: bool = false;

@link
alias Element = f32; // or f16: how the caller's rows are stored; all arithmetic is in f32

struct Shape {
  chunks: u32,
  heads: u32,
  groups: u32,
  key_vectors: u32,
  blocks: u32, // in a chunk
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec2u>; // [chunks]: first row, end
@group(0) @binding(2) var<storage, read> query: array<vec4<Element>>; // [rows, groups, key_vectors]
@group(0) @binding(3) var<storage, read> key: array<vec4<Element>>; // [rows, groups, key_vectors]
@group(0) @binding(4) var<storage, read> log_decay: array<vec4f>; // [rows, heads, (keys)]
@group(0) @binding(5) var<storage, read> scores: array<vec4f>; // [2, chunks, heads, 8 * blocks, 2 * blocks]
@group(0) @binding(6) var<storage, read_write> query_gradient: array<vec4f>; // [rows, heads, key_vectors]
@group(0) @binding(7) var<storage, read_write> key_gradient: array<vec4f>; // [rows, heads, key_vectors]
@group(0) @binding(8) var<storage, read_write> log_decay_gradient: array<vec4f>; // [rows, heads, key_vectors]

// One key dimension of the block: rows 0-3 and 4-7.
struct Lane {
  query_low: vec4f,
  query_high: vec4f,
  decay_low: vec4f, // E_ij
  decay_high: vec4f,
  query_gradient_low: vec4f,
  query_gradient_high: vec4f,
  log_decay_gradient_low: vec4f,
  log_decay_gradient_high: vec4f,
  after: f32, // exp(sum of g after j)
  key_gradient: f32, // of j
}

const LOW = vec4u(0u, 1u, 2u, 3u);
const HIGH = vec4u(4u, 5u, 6u, 7u);

// Sums from each row to the last: x the four rows, y what comes after them.
fn suffix_sums(x: vec4f, y: f32) -> vec4f {
  let w = x.w + y;
  let z = x.z + w;
  let yy = x.y + z;
  return vec4f(x.x + yy, yy, z, w);
}

// Adds to the decay's gradient of rows t the terms of rows i ≥ t, or i > t with BONUS.
fn add_suffix_sums(lane: Lane, low: vec4f, high: vec4f, from_t: u32) -> Lane {
  var out = lane;
  var sums_high = suffix_sums(high, 0.0);
  var sums_low = suffix_sums(low, sums_high.x);
  if (BONUS) {
    sums_low = vec4f(sums_low.yzw, sums_high.x);
    sums_high = vec4f(sums_high.yzw, 0.0);
  }
  out.log_decay_gradient_low += select(vec4f(), sums_low, LOW >= vec4u(from_t));
  out.log_decay_gradient_high += select(vec4f(), sums_high, HIGH >= vec4u(from_t));
  return out;
}

// Token j: its key, decay, gradient from after the block, and column of B.
fn add_token(lane: Lane, j: u32, key_j: f32, decay: f32, outside: f32, b_low: vec4f, b_high: vec4f) -> Lane {
  var out = lane;
  let read_low = b_low * lane.decay_low;
  let read_high = b_high * lane.decay_high;
  out.query_gradient_low += read_low * key_j;
  out.query_gradient_high += read_high * key_j;
  let pair_low = read_low * lane.query_low;
  let pair_high = read_high * lane.query_high;
  let from_outside = outside * lane.after;
  out.key_gradient = from_outside + dot(pair_low + pair_high, vec4f(1.0));
  out = add_suffix_sums(out, pair_low * key_j, pair_high * key_j, j + 1u);
  let carried = from_outside * key_j;
  out.log_decay_gradient_low += select(vec4f(), vec4f(carried), LOW > vec4u(j));
  out.log_decay_gradient_high += select(vec4f(), vec4f(carried), HIGH > vec4u(j));
  let from_row = select(j, j + 1u, BONUS);
  out.decay_low *= select(vec4f(1.0), vec4f(decay), LOW >= vec4u(from_row));
  out.decay_high *= select(vec4f(1.0), vec4f(decay), HIGH >= vec4u(from_row));
  out.after *= decay;
  return out;
}

// The query's gradient from before the block: decayed to each row.
fn finish(lane: Lane, outside_low: vec4f, outside_high: vec4f) -> Lane {
  var out = lane;
  let low = outside_low * lane.decay_low;
  let high = outside_high * lane.decay_high;
  out.query_gradient_low += low;
  out.query_gradient_high += high;
  return add_suffix_sums(out, low * lane.query_low, high * lane.query_high, 0u);
}

fn log_decay_at(row: u32, head: u32, vector: u32) -> vec4f {
  let index = row * shape.heads + head;
  if (PER_KEY) {
    return log_decay[index * shape.key_vectors + vector];
  }
  return vec4f(log_decay[index / 4u][index % 4u]);
}

fn store(slot: u32, query_row: vec4f, log_decay_row: vec4f, keep: bool) {
  if (keep) {
    query_gradient[slot] = query_row;
    log_decay_gradient[slot] += log_decay_row;
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn block_gradient(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local.x;
  let vector = index % shape.key_vectors;
  let head = index / shape.key_vectors % shape.heads;
  let block = index / (shape.key_vectors * shape.heads) % shape.blocks;
  let chunk = index / (shape.key_vectors * shape.heads * shape.blocks);
  if (chunk >= shape.chunks) {
    return;
  }
  let rows = chunks[chunk];
  let first = rows.x + block * 8u;
  if (first >= rows.y) {
    return;
  }
  let count = min(8u, rows.y - first);
  let last = rows.y - 1u;
  let group = head / (shape.heads / shape.groups);
  let row_low = min(first + LOW, vec4u(last));
  let row_high = min(first + HIGH, vec4u(last));
  let query_low = (row_low * shape.groups + group) * shape.key_vectors + vector;
  let query_high = (row_high * shape.groups + group) * shape.key_vectors + vector;
  let slot_low = (row_low * shape.heads + head) * shape.key_vectors + vector;
  let slot_high = (row_high * shape.heads + head) * shape.key_vectors + vector;
  let rows_low = vec4f(first + LOW <= vec4u(last));
  let rows_high = vec4f(first + HIGH <= vec4u(last));
  let q_low = transpose(mat4x4f(
    vec4f(query[query_low.x]),
    vec4f(query[query_low.y]),
    vec4f(query[query_low.z]),
    vec4f(query[query_low.w]),
  ));
  let q_high = transpose(mat4x4f(
    vec4f(query[query_high.x]),
    vec4f(query[query_high.y]),
    vec4f(query[query_high.z]),
    vec4f(query[query_high.w]),
  ));

  let one = vec4f(1.0);
  let zero = vec4f();
  var lane_x = Lane(q_low[0] * rows_low, q_high[0] * rows_high, one, one, zero, zero, zero, zero, 1.0, 0.0);
  var lane_y = Lane(q_low[1] * rows_low, q_high[1] * rows_high, one, one, zero, zero, zero, zero, 1.0, 0.0);
  var lane_z = Lane(q_low[2] * rows_low, q_high[2] * rows_high, one, one, zero, zero, zero, zero, 1.0, 0.0);
  var lane_w = Lane(q_low[3] * rows_low, q_high[3] * rows_high, one, one, zero, zero, zero, zero, 1.0, 0.0);
  let line_vectors = shape.blocks * 2u;
  let column = (((shape.chunks + chunk) * shape.heads + head) * shape.blocks + block) * 8u *
    line_vectors + block * 2u;
  for (var step = 0u; step < count; step++) {
    let j = count - 1u - step;
    let row = first + j;
    let key_j = vec4f(key[(row * shape.groups + group) * shape.key_vectors + vector]);
    let decay = exp(log_decay_at(row, head, vector));
    let slot = (row * shape.heads + head) * shape.key_vectors + vector;
    let outside = key_gradient[slot];
    var b_low = scores[column + j * line_vectors];
    var b_high = scores[column + j * line_vectors + 1u];
    if (BONUS) {
      b_low = select(b_low, zero, LOW == vec4u(j));
      b_high = select(b_high, zero, HIGH == vec4u(j));
    }
    lane_x = add_token(lane_x, j, key_j.x, decay.x, outside.x, b_low, b_high);
    lane_y = add_token(lane_y, j, key_j.y, decay.y, outside.y, b_low, b_high);
    lane_z = add_token(lane_z, j, key_j.z, decay.z, outside.z, b_low, b_high);
    lane_w = add_token(lane_w, j, key_j.w, decay.w, outside.w, b_low, b_high);
    key_gradient[slot] = vec4f(
      lane_x.key_gradient,
      lane_y.key_gradient,
      lane_z.key_gradient,
      lane_w.key_gradient,
    );
  }

  let outside_low = transpose(mat4x4f(
    query_gradient[slot_low.x],
    query_gradient[slot_low.y],
    query_gradient[slot_low.z],
    query_gradient[slot_low.w],
  ));
  let outside_high = transpose(mat4x4f(
    query_gradient[slot_high.x],
    query_gradient[slot_high.y],
    query_gradient[slot_high.z],
    query_gradient[slot_high.w],
  ));
  lane_x = finish(lane_x, outside_low[0], outside_high[0]);
  lane_y = finish(lane_y, outside_low[1], outside_high[1]);
  lane_z = finish(lane_z, outside_low[2], outside_high[2]);
  lane_w = finish(lane_w, outside_low[3], outside_high[3]);
  let dq_low = transpose(mat4x4f(
    lane_x.query_gradient_low,
    lane_y.query_gradient_low,
    lane_z.query_gradient_low,
    lane_w.query_gradient_low,
  ));
  let dq_high = transpose(mat4x4f(
    lane_x.query_gradient_high,
    lane_y.query_gradient_high,
    lane_z.query_gradient_high,
    lane_w.query_gradient_high,
  ));
  let dg_low = transpose(mat4x4f(
    lane_x.log_decay_gradient_low,
    lane_y.log_decay_gradient_low,
    lane_z.log_decay_gradient_low,
    lane_w.log_decay_gradient_low,
  ));
  let dg_high = transpose(mat4x4f(
    lane_x.log_decay_gradient_high,
    lane_y.log_decay_gradient_high,
    lane_z.log_decay_gradient_high,
    lane_w.log_decay_gradient_high,
  ));
  store(slot_low.x, dq_low[0], dg_low[0], first + 0u <= last);
  store(slot_low.y, dq_low[1], dg_low[1], first + 1u <= last);
  store(slot_low.z, dq_low[2], dg_low[2], first + 2u <= last);
  store(slot_low.w, dq_low[3], dg_low[3], first + 3u <= last);
  store(slot_high.x, dq_high[0], dg_high[0], first + 4u <= last);
  store(slot_high.y, dq_high[1], dg_high[1], first + 5u <= last);
  store(slot_high.z, dq_high[2], dg_high[2], first + 6u <= last);
  store(slot_high.w, dq_high[3], dg_high[3], first + 7u <= last);
}
