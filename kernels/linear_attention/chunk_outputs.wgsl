// Outputs of a chunk: what the state before it gives, and what the chunk's own tokens give.
//   output_i = scale * (query_i decayed from the chunk's start) state + sum over j of score_ij value_j
// Reversed, the same for the value's gradient, with keys decayed to the chunk's end, the state's
// gradient after the chunk, transposed scores and tokens after i.
// Dispatch: one invocation per chunk, block, head and tile of 8 tokens × 8 values in registers.

@if(HAS_DECAYS)
import package::linear_attention::chunk_tiles::decays;
import package::linear_attention::chunk_tiles::{Element, WORKGROUP_SIZE, a, chunks, shape};
import package::linear_attention::tile::{BLOCK, Row};

@group(0) @binding(4) var<storage, read> value: array<vec4<Element>>; // [rows, heads, value_vectors]
@group(0) @binding(5) var<storage, read> scores: array<vec4f>; // [(2), chunks, heads, 8 * blocks, 2 * blocks]
@group(0) @binding(6) var<storage, read> states: array<vec4f>; // [chunks, heads, keys, value_vectors]
@group(0) @binding(7) var<storage, read_write> output: array<vec4<Element>>; // [rows, heads, value_vectors]

// Eight values of a token.
fn store(row: u32, last: u32, column: u32, values: Row) {
  if (row <= last) {
    let slot = row * shape.heads * shape.value_vectors + column;
    output[slot] = vec4<Element>(values[0]);
    output[slot + 1u] = vec4<Element>(values[1]);
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn chunk_outputs(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local.x;
  let reversed = shape.backward == 1u;
  let tiles = shape.value_vectors / 2u;
  let value_vector = index % tiles * 2u;
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
  let a_head = head / (shape.heads / shape.a_heads);
  var a_at: array<u32, BLOCK>;
  var sums: array<Row, BLOCK>;
  @unroll
  for (var i = 0u; i < BLOCK; i++) {
    let row = min(first + i, last) * shape.a_heads + a_head;
    a_at[i] = u32(shape.a_offset) + row * shape.key_vectors;
  }
  let border = ((chunk * shape.blocks + block) * shape.heads + head) * 3u * shape.key_vectors +
    select(0u, 2u * shape.key_vectors, reversed);
  let state = (chunk * shape.heads + head) * shape.key_vectors * 4u * shape.value_vectors +
    value_vector;
  for (var vector = 0u; vector < shape.key_vectors; vector++) {
    var decay = vec4f(shape.scale);
    @if(HAS_DECAYS)
    decay *= decays[border + vector];
    let line = state + vector * 4u * shape.value_vectors;
    let low = mat4x4f(
      decay.x * states[line],
      decay.y * states[line + shape.value_vectors],
      decay.z * states[line + 2u * shape.value_vectors],
      decay.w * states[line + 3u * shape.value_vectors],
    );
    let high = mat4x4f(
      decay.x * states[line + 1u],
      decay.y * states[line + shape.value_vectors + 1u],
      decay.z * states[line + 2u * shape.value_vectors + 1u],
      decay.w * states[line + 3u * shape.value_vectors + 1u],
    );
    @unroll
    for (var i = 0u; i < BLOCK; i++) {
      let x = vec4f(a[a_at[i] + vector]);
      sums[i] += Row(low * x, high * x);
    }
  }

  let line_vectors = shape.blocks * 2u;
  let copy = select(0u, shape.chunks, reversed);
  let line = (((copy + chunk) * shape.heads + head) * shape.blocks + block) * 8u * line_vectors;
  let from_vector = select(0u, block * 2u, reversed);
  let to_vector = select(block * 2u + 2u, (rows.y - rows.x + 7u) / 8u * 2u, reversed);
  let stride = shape.heads * shape.value_vectors;
  let column = head * shape.value_vectors + value_vector;
  for (var vector = from_vector; vector < to_vector; vector++) {
    let at = column + min(rows.x + vector * 4u + vec4u(0u, 1u, 2u, 3u), vec4u(last)) * stride;
    let low = mat4x4f(
      vec4f(value[at.x]),
      vec4f(value[at.y]),
      vec4f(value[at.z]),
      vec4f(value[at.w]),
    );
    let high = mat4x4f(
      vec4f(value[at.x + 1u]),
      vec4f(value[at.y + 1u]),
      vec4f(value[at.z + 1u]),
      vec4f(value[at.w + 1u]),
    );
    @unroll
    for (var i = 0u; i < BLOCK; i++) {
      let x = scores[line + i * line_vectors + vector];
      sums[i] += Row(low * x, high * x);
    }
  }
  @unroll
  for (var i = 0u; i < BLOCK; i++) {
    store(first + i, last, column, sums[i]);
  }
}
