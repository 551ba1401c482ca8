// The query's gradient, up to the tokens of its own block, decayed to the block's start only:
//   gradient_i = scale * state output_gradient_i                     (the state before the chunk)
//              + sum over earlier blocks' tokens j of value_score_ij key_j
// by Horner's rule over the blocks: gradient = block's decay * gradient + sum in the block.
// Reversed, the same for the key's gradient, decayed to its block's end: from the state's gradient
// after the chunk, over later blocks from the last, with queries. Without decay the own block is
// included, and the gradient is whole. Without states the chunks are whole sequences.
// With decay it also leaves, for decay_carry, what reaches over whole blocks: the sums over the own
// tokens of decayed_query_i * gradient_i before each earlier block (reversed: of
// decayed_key_j * gradient_j before any).
// Dispatch: one invocation per chunk, block, head and tile of a block's tokens × 8 keys in registers.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::linear_attention::chunks::{Block, WITHIN, four_rows, used_blocks};
@if(HAS_DECAYS)
import package::linear_attention::chunk_tiles::decays;
@if(HAS_STATES)
import package::linear_attention::chunk_tiles::{state_at, states, value};
import package::linear_attention::chunk_tiles::{
  a, a_start, block_tile, part_of_decays, score_line, scores, shape, strip_of_a,
};
import package::linear_attention::tile::{BLOCK, FOURS, Row, Strip, products, projected, weighted};

@group(0) @binding(7) var<storage, read_write> gradient: array<vec4f>; // [rows, heads, key_vectors]
// [chunks, blocks, heads, blocks, key_vectors]; reversed [chunks, blocks, heads, key_vectors]
@if(HAS_CARRIED) // with decays
@group(0) @binding(8) var<storage, read_write> carried: array<vec4f>;

// Eight keys of the block's own token at `row`, decayed; 0 past the chunk's end.
fn own_row(block: Block, row: u32) -> Row {
  let stride = shape.a_heads * shape.key_vectors;
  let start = a_start(shape.own_offset, block.head) + block.vector;
  let at = start + min(row, block.end - 1u) * stride;
  let inside = row < block.end;
  return Row(select(vec4f(), vec4f(a[at]), inside), select(vec4f(), vec4f(a[at + 1u]), inside));
}

// What reaches over whole blocks: the own tokens' products with their gradient so far.
@if(HAS_CARRIED)
fn store_carried(block: Block, step: u32, own: array<Row, BLOCK>, sums: array<Row, BLOCK>) {
  var sum = Row();
  @unroll
  for (var i = 0u; i < BLOCK; i++) {
    sum += products(own[i], sums[i]);
  }
  var slot = (block.chunk * shape.blocks + block.number) * shape.heads + block.head;
  if (shape.backward == 0u) {
    slot = slot * shape.blocks + step;
  }
  carried[slot * shape.key_vectors + block.vector] = sum[0];
  carried[slot * shape.key_vectors + block.vector + 1u] = sum[1];
}

// Eight keys of a state's values from vector `at` on.
@if(HAS_STATES)
fn strip_of_state(at: u32) -> Strip {
  let low = at + vec4u(0u, 1u, 2u, 3u) * shape.value_vectors;
  let high = low + 4u * shape.value_vectors;
  return Strip(
    mat4x4f(states[low.x], states[low.y], states[low.z], states[low.w]),
    mat4x4f(states[high.x], states[high.y], states[high.z], states[high.w]),
  );
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn input_gradient(invocation: Invocation) {
  let block = block_tile(invocation, shape.key_vectors);
  if (block.first >= block.end) {
    return;
  }
  let reversed = shape.backward == 1u;
  var sums: array<Row, BLOCK>;
  @if(HAS_STATES) {
    var value_at: array<u32, BLOCK>;
    @unroll
    for (var i = 0u; i < BLOCK; i++) {
      value_at[i] = (min(block.first + i, block.end - 1u) * shape.heads + block.head) * shape.value_vectors;
    }
    let state = state_at(block.chunk, block.head) + block.vector * 4u * shape.value_vectors;
    for (var vector = 0u; vector < shape.value_vectors; vector++) {
      let keys = strip_of_state(state + vector);
      @unroll
      for (var i = 0u; i < BLOCK; i++) {
        sums[i] += projected(keys, vec4f(value[value_at[i] + vector]));
      }
    }
    @unroll
    for (var i = 0u; i < BLOCK; i++) {
      sums[i] *= shape.scale;
    }
  }

  @if(HAS_CARRIED)
  var own: array<Row, BLOCK>;
  @if(HAS_CARRIED)
  @unroll
  for (var i = 0u; i < BLOCK; i++) {
    own[i] = own_row(block, block.first + i);
  }
  let line = score_line(block);
  let column = a_start(shape.a_offset, block.head) + block.vector;
  let last_block = used_blocks(block) - 1u;
  @if(HAS_DECAYS)
  let included = 0u; // block_gradient sees to the own block
  @else
  let included = 1u;
  let steps = select(block.number, last_block - block.number, reversed) + included;
  for (var step = 0u; step <= steps; step++) {
    @if(HAS_CARRIED)
    if (!reversed || step == 0u) {
      store_carried(block, step, own, sums);
    }
    if (step == steps) {
      break;
    }
    let other = select(step, last_block - step, reversed);
    @if(HAS_DECAYS) {
      let slot = part_of_decays(block.chunk, other, block.head, WITHIN) + block.vector;
      @unroll
      for (var i = 0u; i < BLOCK; i++) {
        sums[i] = products(sums[i], Row(decays[slot], decays[slot + 1u]));
      }
    }
    for (var four = other * FOURS; four < (other + 1u) * FOURS; four++) {
      let tokens = strip_of_a(column + four_rows(block, four) * shape.a_heads * shape.key_vectors);
      @unroll
      for (var i = 0u; i < BLOCK; i++) {
        sums[i] += weighted(tokens, scores[line + i * shape.blocks * FOURS + four]);
      }
    }
  }
  @unroll
  for (var i = 0u; i < BLOCK; i++) {
    if (block.first + i < block.end) {
      let slot = ((block.first + i) * shape.heads + block.head) * shape.key_vectors + block.vector;
      gradient[slot] = sums[i][0];
      gradient[slot + 1u] = sums[i][1];
    }
  }
}
