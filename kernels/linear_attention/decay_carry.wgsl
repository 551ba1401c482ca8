// The part of the decay's gradient that reaches over a whole block, the same for each of
// them: with S the state at the block's start and D the state's gradient at its end,
//   carry_k = block's decay_k * sum over v of D_kv S_kv
// D is what the chunk's later blocks read and the gradient after the chunk; S is what the earlier
// blocks wrote and the state before the chunk: the products of the four are summed one by one.
// Dispatch: one invocation per chunk, head and 4 keys.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::linear_attention::chunk_tiles::{decays, part_of_decays, shape, state_at, states};
import package::linear_attention::chunks::{AFTER, WITHIN, block_of, used_blocks};
import package::linear_attention::tile::BLOCK;

@group(0) @binding(4) var<storage, read> query_carried: array<vec4f>; // [chunks, blocks, heads, blocks, key_vectors]
@group(0) @binding(5) var<storage, read> key_carried: array<vec4f>; // [chunks, blocks, heads, key_vectors]
@group(0) @binding(7) var<storage, read> state_gradients: array<vec4f>; // [chunks, heads, keys, value_vectors]
@group(0) @binding(8) var<storage, read_write> log_decay_gradient: array<vec4f>; // [rows, heads, key_vectors]

@compute @workgroup_size(WORKGROUP_SIZE)
fn decay_carry(invocation: Invocation) {
  let chunk = block_of(number_of(invocation), shape.chunks, 1u, shape.heads, shape.key_vectors);
  if (chunk.first >= chunk.end) {
    return;
  }
  let head = chunk.head;
  let vector = chunk.vector;
  let blocks = used_blocks(chunk);

  // The gradient after the chunk times the state at the block's start.
  var after = vec4f();
  let line = state_at(chunk.chunk, head) + vector * 4u * shape.value_vectors;
  for (var column = line; column < line + shape.value_vectors; column++) {
    let next = column + shape.value_vectors * vec4u(0u, 1u, 2u, 3u);
    after += vec4f(
      dot(states[next.x], state_gradients[next.x]),
      dot(states[next.y], state_gradients[next.y]),
      dot(states[next.z], state_gradients[next.z]),
      dot(states[next.w], state_gradients[next.w]),
    );
  }
  for (var block = 0u; block < blocks; block++) {
    let slot = (chunk.chunk * shape.blocks + block) * shape.heads + head;
    let decay = decays[part_of_decays(chunk.chunk, block, head, WITHIN) + vector];
    var carry = after * decays[part_of_decays(chunk.chunk, block, head, AFTER) + vector];
    var between = vec4f(1.0);
    for (var later = block + 1u; later < blocks; later++) {
      let later_slot = (chunk.chunk * shape.blocks + later) * shape.heads + head;
      carry += between *
        query_carried[(later_slot * shape.blocks + block) * shape.key_vectors + vector];
      between *= decays[part_of_decays(chunk.chunk, later, head, WITHIN) + vector];
    }
    carry *= decay;
    after = after * decay + key_carried[slot * shape.key_vectors + vector];
    let first = chunk.start + block * BLOCK;
    for (var row = first; row < min(first + BLOCK, chunk.end); row++) {
      log_decay_gradient[(row * shape.heads + head) * shape.key_vectors + vector] = carry;
    }
  }
}
