// The state from chunk to chunk: state = chunk's decay * state + what the chunk adds. In place: each
// chunk's own addition is replaced by the state before it. Backward, the same for the gradient, from
// the last chunk to the first: an addition is replaced by the gradient after the chunk.
// Dispatch: one invocation per sequence, head, key and 4 values, sequential over the chunks.

override WORKGROUP_SIZE: u32 = 64u;
override HAS_DECAY: bool = true;

struct Shape {
  sequences: u32,
  heads: u32,
  key_vectors: u32,
  value_vectors: u32,
  blocks: u32, // in a chunk
  has_initial: u32, // 0 or 1
  backward: u32, // 0 or 1
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> sequences: array<vec2u>; // [sequences]: first chunk, end
@group(0) @binding(2) var<storage, read> decays: array<vec4f>; // [chunks, blocks, heads, 3, key_vectors]
@group(0) @binding(3) var<storage, read> initial: array<vec4f>; // [sequences, heads, keys, value_vectors]
@group(0) @binding(4) var<storage, read_write> states: array<vec4f>; // [chunks, heads, keys, value_vectors]
@group(0) @binding(5) var<storage, read_write> final_state: array<vec4f>; // [sequences, heads, keys, value_vectors]

@compute @workgroup_size(WORKGROUP_SIZE)
fn pass_states(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local.x;
  let cells = shape.heads * shape.key_vectors * 4u * shape.value_vectors;
  let cell = index % cells;
  let sequence = index / cells;
  if (sequence >= shape.sequences) {
    return;
  }
  let key = cell / shape.value_vectors % (shape.key_vectors * 4u);
  let head = cell / (shape.value_vectors * shape.key_vectors * 4u);
  let range = sequences[sequence];
  var state = vec4f();
  if (shape.has_initial == 1u) {
    state = initial[index];
  }
  for (var step = range.x; step < range.y; step++) {
    let chunk = select(step, range.y - 1u - (step - range.x), shape.backward == 1u);
    let slot = chunk * cells + cell;
    let addition = states[slot];
    states[slot] = state;
    if (HAS_DECAY) {
      // From the chunk's start to its last block, and that block.
      let decay = (((chunk + 1u) * shape.blocks - 1u) * shape.heads + head) * 3u * shape.key_vectors +
        key / 4u;
      state *= decays[decay][key % 4u] * decays[decay + shape.key_vectors][key % 4u];
    }
    state += addition;
  }
  final_state[index] = state;
}
