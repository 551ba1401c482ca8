
// A quad of columns of a state: `states` holds it in every slot, padded with zeros, and `state` is the
// tensor outside, where it comes from and goes to. Appended to the passes over chunks.

fn state_rows(at: u32) -> mat4x4f {
  let next = shape.value_quads;
  return mat4x4f(states[at], states[at + next], states[at + 2u * next], states[at + 3u * next]);
}

fn store_state(at: u32, rows: mat4x4f) {
  let next = shape.value_quads;
  states[at] = rows[0];
  states[at + next] = rows[1];
  states[at + 2u * next] = rows[2];
  states[at + 3u * next] = rows[3];
}

// Into the slot at `at`, from the state of a sequence and head.
fn load_state(at: u32, sequence: u32, head: u32, column: u32) {
  let outside = state_outside(sequence, head, column);
  let valid = 4u * column + vec4u(0u, 1u, 2u, 3u) < vec4u(shape.value_dim);
  for (var d = 0u; d < 4u * shape.key_quads; d++) {
    let i = outside + d * shape.value_dim;
    states[at + d * shape.value_quads] = select(
      vec4f(),
      vec4f(state[i], state[i + 1u], state[i + 2u], state[i + 3u]),
      valid & vec4<bool>(d < shape.key_dim),
    );
  }
}

fn save_state(at: u32, sequence: u32, head: u32, column: u32) {
  let outside = state_outside(sequence, head, column);
  let columns = shape.value_dim - 4u * column; // of the quad and past it
  for (var d = 0u; d < shape.key_dim; d++) {
    let i = outside + d * shape.value_dim;
    let values = states[at + d * shape.value_quads];
    state[i] = values.x;
    if (columns > 1u) {
      state[i + 1u] = values.y;
    }
    if (columns > 2u) {
      state[i + 2u] = values.z;
    }
    if (columns > 3u) {
      state[i + 3u] = values.w;
    }
  }
}

fn state_outside(sequence: u32, head: u32, column: u32) -> u32 {
  return (sequence * shape.heads + head) * shape.key_dim * shape.value_dim + 4u * column;
}
