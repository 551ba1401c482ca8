// What a chunk adds to the state at its end (or, backward, to the state's gradient at its start):
//   sum over tokens j of (a_j decayed to the chunk's border) b_jᵀ * scale
// Horner's rule over the blocks of 8 tokens: state = block's decay * state + sum in the block.
// a is decayed to its block's border already: keys to its end, queries to its start.
// Dispatch: one invocation per chunk, head and tile of 8 keys × 8 values in registers.

override WORKGROUP_SIZE: u32 = 64u;
override HAS_DECAY: bool = true;

struct Shape {
  chunks: u32,
  heads: u32,
  a_heads: u32,
  key_vectors: u32,
  value_vectors: u32,
  blocks: u32, // in a chunk
  a_offset: u32, // of a in its tensor
  backward: u32, // 0 or 1
  scale: u32, // the bits of an f32
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec2u>; // [chunks]: first row, end
@group(0) @binding(2) var<storage, read> a: array<vec4f>; // [.., rows, a_heads, key_vectors]
@group(0) @binding(3) var<storage, read> b: array<vec4f>; // [rows, heads, value_vectors]
@group(0) @binding(4) var<storage, read> decays: array<vec4f>; // [chunks, blocks, heads, 3, key_vectors]
@group(0) @binding(5) var<storage, read_write> states: array<vec4f>; // [chunks, heads, keys, value_vectors]

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
  low0 *= low.x;
  high0 *= low.x;
  low1 *= low.y;
  high1 *= low.y;
  low2 *= low.z;
  high2 *= low.z;
  low3 *= low.w;
  high3 *= low.w;
  low4 *= high.x;
  high4 *= high.x;
  low5 *= high.y;
  high5 *= high.y;
  low6 *= high.z;
  high6 *= high.z;
  low7 *= high.w;
  high7 *= high.w;
}

// Adds the outer product of one token's rows, or nothing where the token is past the end.
fn add_token(a_index: u32, b_index: u32, keep: bool) {
  let a_low = select(vec4f(), a[a_index], keep);
  let a_high = select(vec4f(), a[a_index + 1u], keep);
  let b_low = b[b_index];
  let b_high = b[b_index + 1u];
  low0 += a_low.x * b_low;
  high0 += a_low.x * b_high;
  low1 += a_low.y * b_low;
  high1 += a_low.y * b_high;
  low2 += a_low.z * b_low;
  high2 += a_low.z * b_high;
  low3 += a_low.w * b_low;
  high3 += a_low.w * b_high;
  low4 += a_high.x * b_low;
  high4 += a_high.x * b_high;
  low5 += a_high.y * b_low;
  high5 += a_high.y * b_high;
  low6 += a_high.z * b_low;
  high6 += a_high.z * b_high;
  low7 += a_high.w * b_low;
  high7 += a_high.w * b_high;
}

fn store(slot: u32, low: vec4f, high: vec4f) {
  states[slot] = bitcast<f32>(shape.scale) * low;
  states[slot + 1u] = bitcast<f32>(shape.scale) * high;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn chunk_states(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local.x;
  let value_tiles = shape.value_vectors / 2u;
  let key_tiles = shape.key_vectors / 2u;
  let value_vector = index % value_tiles * 2u;
  let key_vector = index / value_tiles % key_tiles * 2u;
  let head = index / (value_tiles * key_tiles) % shape.heads;
  let chunk = index / (value_tiles * key_tiles * shape.heads);
  if (chunk >= shape.chunks) {
    return;
  }
  let rows = chunks[chunk];
  let last = rows.y - 1u;
  let used_blocks = (rows.y - rows.x + 7u) / 8u;
  let a_stride = shape.a_heads * shape.key_vectors;
  let b_stride = shape.heads * shape.value_vectors;
  let a_base = shape.a_offset + head / (shape.heads / shape.a_heads) * shape.key_vectors + key_vector;
  let b_base = head * shape.value_vectors + value_vector;
  for (var step = 0u; step < used_blocks; step++) {
    let block = select(step, used_blocks - 1u - step, shape.backward == 1u);
    if (HAS_DECAY) {
      let slot = (((chunk * shape.blocks + block) * shape.heads + head) * 3u + 1u) *
        shape.key_vectors + key_vector;
      decay(decays[slot], decays[slot + 1u]);
    }
    for (var half = 0u; half < 8u; half += 4u) {
      let row = rows.x + block * 8u + half;
      let row_a = a_base + min(row + vec4u(0u, 1u, 2u, 3u), vec4u(last)) * a_stride;
      let row_b = b_base + min(row + vec4u(0u, 1u, 2u, 3u), vec4u(last)) * b_stride;
      add_token(row_a.x, row_b.x, row <= last);
      add_token(row_a.y, row_b.y, row + 1u <= last);
      add_token(row_a.z, row_b.z, row + 2u <= last);
      add_token(row_a.w, row_b.w, row + 3u <= last);
    }
  }
  let slot = ((chunk * shape.heads + head) * shape.key_vectors + key_vector) * 4u *
    shape.value_vectors + value_vector;
  store(slot + 0u * shape.value_vectors, low0, high0);
  store(slot + 1u * shape.value_vectors, low1, high1);
  store(slot + 2u * shape.value_vectors, low2, high2);
  store(slot + 3u * shape.value_vectors, low3, high3);
  store(slot + 4u * shape.value_vectors, low4, high4);
  store(slot + 5u * shape.value_vectors, low5, high5);
  store(slot + 6u * shape.value_vectors, low6, high6);
  store(slot + 7u * shape.value_vectors, low7, high7);
}
