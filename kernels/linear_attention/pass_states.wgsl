// The state from chunk to chunk: state = chunk's decay * state + what the chunk adds. In place: each
// chunk's own addition is replaced by the state before it. Backward, the same for the gradient, from
// the last chunk to the first: an addition is replaced by the gradient after the chunk.
// A sequence that reaches over the slab's start (backward: end) begins with the border's state.
// Dispatch: one invocation per sequence, head, 4 keys and 4 values, sequential over the chunks.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::linear_attention::chunks::{BEFORE, WITHIN, decays_at};
import package::linear_attention::tile::BLOCK;

struct Shape {
  sequences: u32,
  heads: u32,
  key_vectors: u32,
  value_vectors: u32,
  blocks: u32, // in a chunk
  backward: u32, // 0 or 1
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> sequences: array<vec4u>; // [sequences]: first chunk, end, number, begun before 1 | continues 2
@if(HAS_DECAYS)
@group(0) @binding(2) var<storage, read> decays: array<vec4f>; // [chunks, blocks, heads, 3, key_vectors]
@if(HAS_INITIAL)
@group(0) @binding(3) var<storage, read> initial: array<vec4f>; // [sequences, heads, keys, value_vectors]; else 0
@if(HAS_BORDER)
@group(0) @binding(4) var<storage, read> border: array<vec4f>; // [heads, keys, value_vectors], where a sequence reaches over it
@group(0) @binding(5) var<storage, read_write> states: array<vec4f>; // [chunks, heads, keys, value_vectors]
@group(0) @binding(6) var<storage, read_write> final_state: array<vec4f>; // [sequences, heads, keys, value_vectors]
@if(HAS_FROM_START)
@group(0) @binding(7) var<storage, read> from_start: array<f32>; // [chunks, heads, 8 * blocks]

@compute @workgroup_size(WORKGROUP_SIZE)
fn pass_states(invocation: Invocation) {
  let index = number_of(invocation);
  let cells = shape.heads * shape.key_vectors * shape.value_vectors;
  if (index >= shape.sequences * cells) {
    return;
  }
  let column = index % shape.value_vectors;
  let matrix_row = index % cells / shape.value_vectors; // of head and 4 keys
  let key_vector = matrix_row % shape.key_vectors;
  let head = matrix_row / shape.key_vectors;
  // The 4 keys' rows, in the matrices of any chunk or sequence.
  let at = (matrix_row * 4u + vec4u(0u, 1u, 2u, 3u)) * shape.value_vectors + column;
  let range = sequences[index / cells];
  let here = at + range.z * cells * 4u;
  let backward = shape.backward == 1u;
  var state = mat4x4f();
  if ((range.w & select(1u, 2u, backward)) != 0u) {
    @if(HAS_BORDER)
    state = mat4x4f(border[at.x], border[at.y], border[at.z], border[at.w]);
  } else {
    @if(HAS_INITIAL)
    state = mat4x4f(initial[here.x], initial[here.y], initial[here.z], initial[here.w]);
  }
  for (var step = range.x; step < range.y; step++) {
    let chunk = select(step, range.y - 1u - (step - range.x), backward);
    let slot = at + chunk * cells * 4u;
    let addition = mat4x4f(states[slot.x], states[slot.y], states[slot.z], states[slot.w]);
    states[slot.x] = state[0];
    states[slot.y] = state[1];
    states[slot.z] = state[2];
    states[slot.w] = state[3];
    @if(HAS_DECAYS) {
      // From the chunk's start to its last block, and that block.
      let last = (chunk + 1u) * shape.blocks - 1u;
      let before = decays_at(last, head, BEFORE, shape.heads, shape.key_vectors) + key_vector;
      let within = decays_at(last, head, WITHIN, shape.heads, shape.key_vectors) + key_vector;
      let decay = decays[before] * decays[within];
      state = mat4x4f(
        decay.x * state[0],
        decay.y * state[1],
        decay.z * state[2],
        decay.w * state[3],
      );
    }
    @if(HAS_FROM_START)
    state *= from_start[(chunk * shape.heads + head + 1u) * shape.blocks * BLOCK - 1u];
    state += addition;
  }
  final_state[here.x] = state[0];
  final_state[here.y] = state[1];
  final_state[here.z] = state[2];
  final_state[here.w] = state[3];
}
