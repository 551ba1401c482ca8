// What a chunk adds to the state at its end (or, backward, to the state's gradient at its start):
//   sum over tokens j of (a_j decayed to the chunk's border) b_jᵀ * scale
// Horner's rule over the blocks of 8 tokens: state = block's decay * state + sum in the block.
// a is decayed to its block's border already: keys to its end, queries to its start.
// Dispatch: one invocation per chunk, head and tile of 8 keys × 8 values in registers.

override WORKGROUP_SIZE: u32 = 64u;

@link
alias Element = f32; // or f16: how the caller's rows are stored; all arithmetic is in f32
@link
alias DecayedElement = f32; // Element where queries and keys are not decayed

struct Shape {
  chunks: u32,
  heads: u32,
  a_heads: u32,
  key_vectors: u32,
  value_vectors: u32,
  blocks: u32, // in a chunk
  a_offset: i32, // of row 0 in its tensor; it may lie before it, and wrap
  backward: u32, // 0 or 1
  scale: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec2u>; // [chunks]: first row, end
@group(0) @binding(2) var<storage, read> a: array<vec4<DecayedElement>>; // [.., rows, a_heads, key_vectors]
@group(0) @binding(3) var<storage, read> b: array<vec4<Element>>; // [rows, heads, value_vectors]
@if(HAS_DECAYS)
@group(0) @binding(4) var<storage, read> decays: array<vec4f>; // [chunks, blocks, heads, 3, key_vectors]
@group(0) @binding(5) var<storage, read_write> states: array<vec4f>; // [chunks, heads, keys, value_vectors]

// 8 values of a key.
alias Row = mat2x4f;

var<private> row0: Row;
var<private> row1: Row;
var<private> row2: Row;
var<private> row3: Row;
var<private> row4: Row;
var<private> row5: Row;
var<private> row6: Row;
var<private> row7: Row;

fn decay(low: vec4f, high: vec4f) {
  row0 *= low.x;
  row1 *= low.y;
  row2 *= low.z;
  row3 *= low.w;
  row4 *= high.x;
  row5 *= high.y;
  row6 *= high.z;
  row7 *= high.w;
}

fn store(slot: u32, row: Row) {
  states[slot] = shape.scale * row[0];
  states[slot + 1u] = shape.scale * row[1];
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
  let a_base = u32(shape.a_offset) + head / (shape.heads / shape.a_heads) * shape.key_vectors + key_vector;
  let b_base = head * shape.value_vectors + value_vector;
  for (var step = 0u; step < used_blocks; step++) {
    let block = select(step, used_blocks - 1u - step, shape.backward == 1u);
    @if(HAS_DECAYS) {
      let slot = (((chunk * shape.blocks + block) * shape.heads + head) * 3u + 1u) *
        shape.key_vectors + key_vector;
      decay(decays[slot], decays[slot + 1u]);
    }
    // Four tokens at a time; those past the end count as 0.
    for (var token = block * 8u; token < block * 8u + 8u; token += 4u) {
      let row = rows.x + token + vec4u(0u, 1u, 2u, 3u);
      let inside = row <= vec4u(last);
      let at_a = a_base + min(row, vec4u(last)) * a_stride;
      let at_b = b_base + min(row, vec4u(last)) * b_stride;
      let a_low = transpose(mat4x4f(
        select(vec4f(), vec4f(a[at_a.x]), inside.x),
        select(vec4f(), vec4f(a[at_a.y]), inside.y),
        select(vec4f(), vec4f(a[at_a.z]), inside.z),
        select(vec4f(), vec4f(a[at_a.w]), inside.w),
      ));
      let a_high = transpose(mat4x4f(
        select(vec4f(), vec4f(a[at_a.x + 1u]), inside.x),
        select(vec4f(), vec4f(a[at_a.y + 1u]), inside.y),
        select(vec4f(), vec4f(a[at_a.z + 1u]), inside.z),
        select(vec4f(), vec4f(a[at_a.w + 1u]), inside.w),
      ));
      let low = mat4x4f(vec4f(b[at_b.x]), vec4f(b[at_b.y]), vec4f(b[at_b.z]), vec4f(b[at_b.w]));
      let high = mat4x4f(
        vec4f(b[at_b.x + 1u]),
        vec4f(b[at_b.y + 1u]),
        vec4f(b[at_b.z + 1u]),
        vec4f(b[at_b.w + 1u]),
      );
      row0 += Row(low * a_low[0], high * a_low[0]);
      row1 += Row(low * a_low[1], high * a_low[1]);
      row2 += Row(low * a_low[2], high * a_low[2]);
      row3 += Row(low * a_low[3], high * a_low[3]);
      row4 += Row(low * a_high[0], high * a_high[0]);
      row5 += Row(low * a_high[1], high * a_high[1]);
      row6 += Row(low * a_high[2], high * a_high[2]);
      row7 += Row(low * a_high[3], high * a_high[3]);
    }
  }
  let slot = ((chunk * shape.heads + head) * shape.key_vectors + key_vector) * 4u *
    shape.value_vectors + value_vector;
  store(slot + 0u * shape.value_vectors, row0);
  store(slot + 1u * shape.value_vectors, row1);
  store(slot + 2u * shape.value_vectors, row2);
  store(slot + 3u * shape.value_vectors, row3);
  store(slot + 4u * shape.value_vectors, row4);
  store(slot + 5u * shape.value_vectors, row5);
  store(slot + 6u * shape.value_vectors, row6);
  store(slot + 7u * shape.value_vectors, row7);
}
