// Outputs of a chunk: what the state before it gives, and what the chunk's own tokens give.
//   output_i = scale * (query_i decayed from the chunk's start) state + sum over j of score_ij value_j
// Reversed, the same for the value's gradient, with keys decayed to the chunk's end, the state's
// gradient after the chunk, transposed scores and tokens after i. Without states the chunks are whole
// sequences. Where the keys of a head decay alike, queries are as they are, and from_start decays what they read.
// Dispatch: one invocation per chunk, block, head and tile of a block's tokens × 8 values in registers.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::linear_attention::chunks::{AFTER, BEFORE, four_rows, used_blocks};
@if(HAS_DECAYS)
import package::linear_attention::chunk_tiles::decays;
@if(HAS_STATES)
import package::linear_attention::chunk_tiles::{a, a_start, part_of_decays, state_at, states};
import package::linear_attention::chunk_tiles::{
  Element, block_tile, score_line, scores, shape, strip_of_values,
};
import package::linear_attention::tile::{BLOCK, FOURS, Row, Strip, weighted};

@group(0) @binding(7) var<storage, read_write> output: array<vec4<Element>>; // [rows, heads, value_vectors]
@if(HAS_FROM_START)
@group(0) @binding(8) var<storage, read> from_start: array<vec4f>; // [chunks, heads, 2 * blocks]

// Eight values of each of a state's four keys, each times a number of its own.
@if(HAS_STATES)
fn strip_of_state(at: u32, factors: vec4f) -> Strip {
  let line = at + vec4u(0u, 1u, 2u, 3u) * shape.value_vectors;
  return Strip(
    mat4x4f(
      factors.x * states[line.x],
      factors.y * states[line.y],
      factors.z * states[line.z],
      factors.w * states[line.w],
    ),
    mat4x4f(
      factors.x * states[line.x + 1u],
      factors.y * states[line.y + 1u],
      factors.z * states[line.z + 1u],
      factors.w * states[line.w + 1u],
    ),
  );
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn chunk_outputs(invocation: Invocation) {
  let block = block_tile(invocation, shape.value_vectors);
  if (block.first >= block.end) {
    return;
  }
  let reversed = shape.backward == 1u;
  var sums: array<Row, BLOCK>;
  @if(HAS_STATES) {
    let last = block.end - 1u;
    var a_at: array<u32, BLOCK>;
    @unroll
    for (var i = 0u; i < BLOCK; i++) {
      let row = min(block.first + i, last);
      a_at[i] = a_start(shape.a_offset, block.head) + row * shape.a_heads * shape.key_vectors;
    }
    let border = part_of_decays(block.chunk, block.number, block.head, select(BEFORE, AFTER, reversed));
    let state = state_at(block.chunk, block.head) + block.vector;
    for (var vector = 0u; vector < shape.key_vectors; vector++) {
      var decay = vec4f(shape.scale);
      @if(HAS_DECAYS)
      decay *= decays[border + vector];
      let keys = strip_of_state(state + vector * 4u * shape.value_vectors, decay);
      @unroll
      for (var i = 0u; i < BLOCK; i++) {
        sums[i] += weighted(keys, vec4f(a[a_at[i] + vector]));
      }
    }
    @if(HAS_FROM_START) {
      let spans = ((block.chunk * shape.heads + block.head) * shape.blocks + block.number) * FOURS;
      let left = Row(from_start[spans], from_start[spans + 1u]);
      @unroll
      for (var i = 0u; i < BLOCK; i++) {
        sums[i] *= left[i / 4u][i % 4u];
      }
    }
  }

  let line = score_line(block);
  let first_four = select(0u, block.number * FOURS, reversed);
  let end_four = select((block.number + 1u) * FOURS, used_blocks(block) * FOURS, reversed);
  let stride = shape.heads * shape.value_vectors;
  let column = block.head * shape.value_vectors + block.vector;
  for (var four = first_four; four < end_four; four++) {
    let tokens = strip_of_values(column + four_rows(block, four) * stride);
    @unroll
    for (var i = 0u; i < BLOCK; i++) {
      sums[i] += weighted(tokens, scores[line + i * shape.blocks * FOURS + four]);
    }
  }
  @unroll
  for (var i = 0u; i < BLOCK; i++) {
    if (block.first + i < block.end) {
      let slot = column + (block.first + i) * stride;
      output[slot] = vec4<Element>(sums[i][0]);
      output[slot + 1u] = vec4<Element>(sums[i][1]);
    }
  }
}
