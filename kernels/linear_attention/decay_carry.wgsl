// The part of the decay's gradient that reaches over a whole block of 8 tokens, the same for each of
// them: with S the state at the block's start and D the state's gradient at its end,
//   carry_k = block's decay_k * sum over v of D_kv S_kv
// D is what the chunk's later blocks read and the gradient after the chunk; S is what the earlier
// blocks wrote and the state before the chunk: the products of the four are summed one by one.
// Dispatch: one invocation per chunk, head and 4 keys.

override WORKGROUP_SIZE: u32 = 64u;

struct Shape {
  chunks: u32,
  heads: u32,
  key_vectors: u32,
  value_vectors: u32,
  blocks: u32, // in a chunk
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec2u>; // [chunks]: first row, end
@group(0) @binding(2) var<storage, read> decays: array<vec4f>; // [chunks, blocks, heads, 3, key_vectors]
@group(0) @binding(3) var<storage, read> query_carried: array<vec4f>; // [chunks, blocks, heads, blocks, key_vectors]
@group(0) @binding(4) var<storage, read> key_carried: array<vec4f>; // [chunks, blocks, heads, key_vectors]
@group(0) @binding(5) var<storage, read> states: array<vec4f>; // [chunks, heads, keys, value_vectors]
@group(0) @binding(6) var<storage, read> state_gradients: array<vec4f>; // [chunks, heads, keys, value_vectors]
@group(0) @binding(7) var<storage, read_write> log_decay_gradient: array<vec4f>; // [rows, heads, key_vectors]

fn block_slot(chunk: u32, block: u32, head: u32) -> u32 {
  return (chunk * shape.blocks + block) * shape.heads + head;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn decay_carry(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local.x;
  let vector = index % shape.key_vectors;
  let head = index / shape.key_vectors % shape.heads;
  let chunk = index / (shape.key_vectors * shape.heads);
  if (chunk >= shape.chunks) {
    return;
  }
  let rows = chunks[chunk];
  let used_blocks = (rows.y - rows.x + 7u) / 8u;

  // The gradient after the chunk times the state at the block's start.
  var after = vec4f();
  let line = ((chunk * shape.heads + head) * shape.key_vectors + vector) * 4u * shape.value_vectors;
  for (var column = line; column < line + shape.value_vectors; column++) {
    let next = column + shape.value_vectors * vec4u(0u, 1u, 2u, 3u);
    after += vec4f(
      dot(states[next.x], state_gradients[next.x]),
      dot(states[next.y], state_gradients[next.y]),
      dot(states[next.z], state_gradients[next.z]),
      dot(states[next.w], state_gradients[next.w]),
    );
  }
  for (var block = 0u; block < used_blocks; block++) {
    let slot = block_slot(chunk, block, head);
    let decay = decays[(slot * 3u + 1u) * shape.key_vectors + vector];
    var carry = after * decays[(slot * 3u + 2u) * shape.key_vectors + vector];
    var between = vec4f(1.0);
    for (var later = block + 1u; later < used_blocks; later++) {
      let later_slot = block_slot(chunk, later, head);
      carry += between *
        query_carried[(later_slot * shape.blocks + block) * shape.key_vectors + vector];
      between *= decays[(later_slot * 3u + 1u) * shape.key_vectors + vector];
    }
    carry *= decay;
    after = after * decay + key_carried[slot * shape.key_vectors + vector];
    let first = rows.x + block * 8u;
    for (var row = first; row < min(first + 8u, rows.y); row++) {
      log_decay_gradient[(row * shape.heads + head) * shape.key_vectors + vector] = carry;
    }
  }
}
