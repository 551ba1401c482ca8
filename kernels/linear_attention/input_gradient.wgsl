// The query's gradient, up to the tokens of its own block, decayed to the block's start only:
//   gradient_i = scale * state output_gradient_i                     (the state before the chunk)
//              + sum over earlier blocks' tokens j of value_score_ij key_j
// by Horner's rule over the blocks of 8 tokens: gradient = block's decay * gradient + sum in the block.
// Reversed, the same for the key's gradient, decayed to its block's end: from the state's gradient
// after the chunk, over later blocks from the last, with queries. Without decay the own block is
// included, and the gradient is whole.
// With decay it also leaves, for decay_carry, what reaches over whole blocks: the sums over the own
// tokens of decayed_query_i * gradient_i before each earlier block (reversed: of
// decayed_key_j * gradient_j before any).
// Dispatch: one invocation per chunk, block, head and tile of 8 tokens × 8 keys in registers.

override WORKGROUP_SIZE: u32 = 64u;
override HAS_DECAY: bool = true;

struct Shape {
  chunks: u32,
  heads: u32,
  other_heads: u32,
  key_vectors: u32,
  value_vectors: u32,
  blocks: u32, // in a chunk
  other_offset: u32, // of keys (reversed: queries) in decayed
  own_offset: u32, // of queries (reversed: keys) in decayed
  reversed: u32, // 0 or 1
  scale: u32, // the bits of an f32
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec2u>; // [chunks]: first row, end
@group(0) @binding(2) var<storage, read> rows_of_values: array<vec4f>; // [rows, heads, value_vectors]
@group(0) @binding(3) var<storage, read> decayed: array<vec4f>; // [.., rows, other_heads, key_vectors]
@group(0) @binding(4) var<storage, read> decays: array<vec4f>; // [chunks, blocks, heads, 3, key_vectors]
@group(0) @binding(5) var<storage, read> scores: array<vec4f>; // [2, chunks, heads, 8 * blocks, 2 * blocks]
@group(0) @binding(6) var<storage, read> states: array<vec4f>; // [chunks, heads, keys, value_vectors]
@group(0) @binding(7) var<storage, read_write> gradient: array<vec4f>; // [rows, heads, key_vectors]
// [chunks, blocks, heads, blocks, key_vectors]; reversed [chunks, blocks, heads, key_vectors]
@group(0) @binding(8) var<storage, read_write> carried: array<vec4f>;

var<private> low0: vec4f;
var<private> high0: vec4f;
var<private> low1: vec4f;
var<private> high1: vec4f;
var<private> low2: vec4f;
var<private> high2: vec4f;
var<private> low3: vec4f;
var<private> high3: vec4f;
var<private> low4: vec4f;
var<private> high4: vec4f;
var<private> low5: vec4f;
var<private> high5: vec4f;
var<private> low6: vec4f;
var<private> high6: vec4f;
var<private> low7: vec4f;
var<private> high7: vec4f;

fn decay(low: vec4f, high: vec4f) {
  low0 *= low;
  high0 *= high;
  low1 *= low;
  high1 *= high;
  low2 *= low;
  high2 *= high;
  low3 *= low;
  high3 *= high;
  low4 *= low;
  high4 *= high;
  low5 *= low;
  high5 *= high;
  low6 *= low;
  high6 *= high;
  low7 *= low;
  high7 *= high;
}

fn store(row: u32, last: u32, column: u32, low: vec4f, high: vec4f) {
  if (row <= last) {
    let slot = row * shape.heads * shape.key_vectors + column;
    gradient[slot] = low;
    gradient[slot + 1u] = high;
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn input_gradient(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local.x;
  let reversed = shape.reversed == 1u;
  let tiles = shape.key_vectors / 2u;
  let key_vector = index % tiles * 2u;
  let head = index / tiles % shape.heads;
  let block = index / (tiles * shape.heads) % shape.blocks;
  let chunk = index / (tiles * shape.heads * shape.blocks);
  if (chunk >= shape.chunks) {
    return;
  }
  let rows = chunks[chunk];
  let first = rows.x + block * 8u;
  if (first >= rows.y) {
    return;
  }
  let last = rows.y - 1u;
  let row_low = min(first + vec4u(0u, 1u, 2u, 3u), vec4u(last));
  let row_high = min(first + vec4u(4u, 5u, 6u, 7u), vec4u(last));

  let x_low = (row_low * shape.heads + head) * shape.value_vectors;
  let x_high = (row_high * shape.heads + head) * shape.value_vectors;
  let state = ((chunk * shape.heads + head) * shape.key_vectors + key_vector) * 4u *
    shape.value_vectors;
  let line = state + vec4u(0u, 1u, 2u, 3u) * shape.value_vectors;
  let next_line = line + 4u * shape.value_vectors;
  for (var vector = 0u; vector < shape.value_vectors; vector++) {
    let m_low = mat4x4f(
      states[line.x + vector],
      states[line.y + vector],
      states[line.z + vector],
      states[line.w + vector],
    );
    let m_high = mat4x4f(
      states[next_line.x + vector],
      states[next_line.y + vector],
      states[next_line.z + vector],
      states[next_line.w + vector],
    );
    let x0 = rows_of_values[x_low.x + vector];
    let x1 = rows_of_values[x_low.y + vector];
    let x2 = rows_of_values[x_low.z + vector];
    let x3 = rows_of_values[x_low.w + vector];
    let x4 = rows_of_values[x_high.x + vector];
    let x5 = rows_of_values[x_high.y + vector];
    let x6 = rows_of_values[x_high.z + vector];
    let x7 = rows_of_values[x_high.w + vector];
    low0 += x0 * m_low;
    high0 += x0 * m_high;
    low1 += x1 * m_low;
    high1 += x1 * m_high;
    low2 += x2 * m_low;
    high2 += x2 * m_high;
    low3 += x3 * m_low;
    high3 += x3 * m_high;
    low4 += x4 * m_low;
    high4 += x4 * m_high;
    low5 += x5 * m_low;
    high5 += x5 * m_high;
    low6 += x6 * m_low;
    high6 += x6 * m_high;
    low7 += x7 * m_low;
    high7 += x7 * m_high;
  }
  decay(vec4f(bitcast<f32>(shape.scale)), vec4f(bitcast<f32>(shape.scale)));

  let other_head = head / (shape.heads / shape.other_heads);
  let stride = shape.other_heads * shape.key_vectors;
  let column = other_head * shape.key_vectors + key_vector;
  var own_low0 = vec4f();
  var own_high0 = vec4f();
  var own_low1 = vec4f();
  var own_high1 = vec4f();
  var own_low2 = vec4f();
  var own_high2 = vec4f();
  var own_low3 = vec4f();
  var own_high3 = vec4f();
  var own_low4 = vec4f();
  var own_high4 = vec4f();
  var own_low5 = vec4f();
  var own_high5 = vec4f();
  var own_low6 = vec4f();
  var own_high6 = vec4f();
  var own_low7 = vec4f();
  var own_high7 = vec4f();
  if (HAS_DECAY) {
    let own = shape.own_offset + column;
    own_low0 = select(vec4f(), decayed[own + row_low.x * stride], first + 0u <= last);
    own_high0 = select(vec4f(), decayed[own + row_low.x * stride + 1u], first + 0u <= last);
    own_low1 = select(vec4f(), decayed[own + row_low.y * stride], first + 1u <= last);
    own_high1 = select(vec4f(), decayed[own + row_low.y * stride + 1u], first + 1u <= last);
    own_low2 = select(vec4f(), decayed[own + row_low.z * stride], first + 2u <= last);
    own_high2 = select(vec4f(), decayed[own + row_low.z * stride + 1u], first + 2u <= last);
    own_low3 = select(vec4f(), decayed[own + row_low.w * stride], first + 3u <= last);
    own_high3 = select(vec4f(), decayed[own + row_low.w * stride + 1u], first + 3u <= last);
    own_low4 = select(vec4f(), decayed[own + row_high.x * stride], first + 4u <= last);
    own_high4 = select(vec4f(), decayed[own + row_high.x * stride + 1u], first + 4u <= last);
    own_low5 = select(vec4f(), decayed[own + row_high.y * stride], first + 5u <= last);
    own_high5 = select(vec4f(), decayed[own + row_high.y * stride + 1u], first + 5u <= last);
    own_low6 = select(vec4f(), decayed[own + row_high.z * stride], first + 6u <= last);
    own_high6 = select(vec4f(), decayed[own + row_high.z * stride + 1u], first + 6u <= last);
    own_low7 = select(vec4f(), decayed[own + row_high.w * stride], first + 7u <= last);
    own_high7 = select(vec4f(), decayed[own + row_high.w * stride + 1u], first + 7u <= last);
  }
  let used_blocks = (rows.y - rows.x + 7u) / 8u;
  let line_vectors = shape.blocks * 2u;
  let copy = select(0u, shape.chunks, reversed);
  let score_line = (((copy + chunk) * shape.heads + head) * shape.blocks + block) * 8u * line_vectors;
  let included = select(1u, 0u, HAS_DECAY); // the own block
  let steps = select(block, used_blocks - 1u - block, reversed) + included;
  for (var step = 0u; step <= steps; step++) {
    if (HAS_DECAY && (!reversed || step == 0u)) {
      let low = own_low0 * low0 +
        own_low1 * low1 +
        own_low2 * low2 +
        own_low3 * low3 +
        own_low4 * low4 +
        own_low5 * low5 +
        own_low6 * low6 +
        own_low7 * low7;
      let high = own_high0 * high0 +
        own_high1 * high1 +
        own_high2 * high2 +
        own_high3 * high3 +
        own_high4 * high4 +
        own_high5 * high5 +
        own_high6 * high6 +
        own_high7 * high7;
      var slot = ((chunk * shape.blocks + block) * shape.heads + head) * shape.key_vectors + key_vector;
      if (!reversed) {
        slot = (((chunk * shape.blocks + block) * shape.heads + head) * shape.blocks + step) *
          shape.key_vectors + key_vector;
      }
      carried[slot] = low;
      carried[slot + 1u] = high;
    }
    if (step == steps) {
      break;
    }
    let other = select(step, used_blocks - 1u - step, reversed);
    if (HAS_DECAY) {
      let slot = (((chunk * shape.blocks + other) * shape.heads + head) * 3u + 1u) *
        shape.key_vectors + key_vector;
      decay(decays[slot], decays[slot + 1u]);
    }
    for (var vector = other * 2u; vector < other * 2u + 2u; vector++) {
      let at = shape.other_offset + column +
        min(rows.x + vector * 4u + vec4u(0u, 1u, 2u, 3u), vec4u(last)) * stride;
      let m_low = mat4x4f(decayed[at.x], decayed[at.y], decayed[at.z], decayed[at.w]);
      let m_high = mat4x4f(
        decayed[at.x + 1u],
        decayed[at.y + 1u],
        decayed[at.z + 1u],
        decayed[at.w + 1u],
      );
      let b0 = scores[score_line + 0u * line_vectors + vector];
      let b1 = scores[score_line + 1u * line_vectors + vector];
      let b2 = scores[score_line + 2u * line_vectors + vector];
      let b3 = scores[score_line + 3u * line_vectors + vector];
      let b4 = scores[score_line + 4u * line_vectors + vector];
      let b5 = scores[score_line + 5u * line_vectors + vector];
      let b6 = scores[score_line + 6u * line_vectors + vector];
      let b7 = scores[score_line + 7u * line_vectors + vector];
      low0 += m_low * b0;
      high0 += m_high * b0;
      low1 += m_low * b1;
      high1 += m_high * b1;
      low2 += m_low * b2;
      high2 += m_high * b2;
      low3 += m_low * b3;
      high3 += m_high * b3;
      low4 += m_low * b4;
      high4 += m_high * b4;
      low5 += m_low * b5;
      high5 += m_high * b5;
      low6 += m_low * b6;
      high6 += m_high * b6;
      low7 += m_low * b7;
      high7 += m_high * b7;
    }
  }
  let target_column = head * shape.key_vectors + key_vector;
  store(first + 0u, last, target_column, low0, high0);
  store(first + 1u, last, target_column, low1, high1);
  store(first + 2u, last, target_column, low2, high2);
  store(first + 3u, last, target_column, low3, high3);
  store(first + 4u, last, target_column, low4, high4);
  store(first + 5u, last, target_column, low5, high5);
  store(first + 6u, last, target_column, low6, high6);
  store(first + 7u, last, target_column, low7, high7);
}
