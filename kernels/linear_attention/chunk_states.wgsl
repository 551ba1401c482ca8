// What a chunk adds to the state at its end (or, backward, to the state's gradient at its start):
//   sum over tokens j of (a_j decayed to the chunk's border) b_jᵀ * scale
// Horner's rule over the blocks: state = block's decay * state + sum in the block.
// a is decayed to its block's border already: keys to its end, queries to its start; or, where the keys of a
// head decay alike, keys as they are, and to_end says what is left of each at the chunk's end.
// Dispatch: one invocation per chunk, head and tile of 8 keys × 8 values in registers.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
@if(HAS_DECAYS)
import package::linear_attention::chunk_tiles::decays;
import package::linear_attention::chunk_tiles::{Element, a, a_start, part_of_decays, shape, state_at};
import package::linear_attention::chunks::{WITHIN, block_of, used_blocks};
import package::linear_attention::tile::{BLOCK, FOURS, Row};

@group(0) @binding(4) var<storage, read> b: array<vec4<Element>>; // [rows, heads, value_vectors]
@group(0) @binding(5) var<storage, read_write> states: array<vec4f>; // [chunks, heads, keys, value_vectors]
@if(HAS_TO_END)
@group(0) @binding(6) var<storage, read> to_end: array<vec4f>; // [chunks, heads, 2 * blocks]

// Eight values of a key.
fn store(slot: u32, row: Row) {
  states[slot] = shape.scale * row[0];
  states[slot + 1u] = shape.scale * row[1];
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn chunk_states(invocation: Invocation) {
  let value_tiles = shape.value_vectors / FOURS;
  let tiles = value_tiles * shape.key_vectors / FOURS;
  let chunk = block_of(number_of(invocation), shape.chunks, 1u, shape.heads, tiles);
  if (chunk.first >= chunk.end) {
    return;
  }
  let value_vector = chunk.vector % value_tiles * FOURS;
  let key_vector = chunk.vector / value_tiles * FOURS;
  let last = chunk.end - 1u;
  let blocks = used_blocks(chunk);
  let a_stride = shape.a_heads * shape.key_vectors;
  let b_stride = shape.heads * shape.value_vectors;
  let a_base = a_start(shape.a_offset, chunk.head) + key_vector;
  let b_base = chunk.head * shape.value_vectors + value_vector;
  var sums: array<Row, BLOCK>; // of eight keys
  for (var step = 0u; step < blocks; step++) {
    let block = select(step, blocks - 1u - step, shape.backward == 1u);
    @if(HAS_DECAYS) {
      let slot = part_of_decays(chunk.chunk, block, chunk.head, WITHIN) + key_vector;
      let decay = Row(decays[slot], decays[slot + 1u]);
      @unroll
      for (var k = 0u; k < BLOCK; k++) {
        sums[k] *= decay[k / 4u][k % 4u];
      }
    }
    // Four tokens at a time; those past the end count as 0.
    for (var token = block * BLOCK; token < (block + 1u) * BLOCK; token += 4u) {
      let row = chunk.start + token + vec4u(0u, 1u, 2u, 3u);
      let inside = row <= vec4u(last);
      @if(HAS_TO_END)
      let left = to_end[((chunk.chunk * shape.heads + chunk.head) * shape.blocks * BLOCK + token) / 4u];
      @else
      let left = vec4f(1.0);
      let at_a = a_base + min(row, vec4u(last)) * a_stride;
      let at_b = b_base + min(row, vec4u(last)) * b_stride;
      let low = mat4x4f(vec4f(b[at_b.x]), vec4f(b[at_b.y]), vec4f(b[at_b.z]), vec4f(b[at_b.w]));
      let high = mat4x4f(
        vec4f(b[at_b.x + 1u]),
        vec4f(b[at_b.y + 1u]),
        vec4f(b[at_b.z + 1u]),
        vec4f(b[at_b.w + 1u]),
      );
      @unroll
      for (var half = 0u; half < FOURS; half++) {
        let keys = transpose(mat4x4f(
          select(vec4f(), vec4f(a[at_a.x + half]), inside.x),
          select(vec4f(), vec4f(a[at_a.y + half]), inside.y),
          select(vec4f(), vec4f(a[at_a.z + half]), inside.z),
          select(vec4f(), vec4f(a[at_a.w + half]), inside.w),
        ));
        @unroll
        for (var k = 0u; k < 4u; k++) {
          let factors = left * keys[k];
          sums[4u * half + k] += Row(low * factors, high * factors);
        }
      }
    }
  }
  let slot = state_at(chunk.chunk, chunk.head) + key_vector * 4u * shape.value_vectors + value_vector;
  @unroll
  for (var k = 0u; k < BLOCK; k++) {
    store(slot + k * shape.value_vectors, sums[k]);
  }
}
