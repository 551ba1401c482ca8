// A quad of columns of a state in its slot of the workspace, padded with zeros, and outside in the
// caller's tensor, where it comes from and goes to.

import package::delta_rule::blocks::shape;

@group(0) @binding(9) var<storage, read_write> states: array<mat4x4f>; // [slots, heads, key_quads, value_quads]
@group(0) @binding(10) var<storage, read_write> state: array<f32>; // [sequences, heads, key_dim, value_dim]

fn row_outside(sequence: u32, head: u32, channel: u32, quad: u32) -> u32 {
  let row = ((shape.first_sequence + sequence) * shape.heads + head) * shape.key_dim + channel;
  return row * shape.value_dim + 4u * quad;
}

// Into the slot that begins at `at`.
fn load_state(at: u32, sequence: u32, head: u32, quad: u32) {
  let columns = 4u * quad + vec4u(0u, 1u, 2u, 3u) < vec4u(shape.value_dim);
  for (var d = 0u; d < shape.key_quads; d++) {
    var rows = mat4x4f();
    @unroll for (var r = 0u; r < 4u; r++) {
      let i = row_outside(sequence, head, 4u * d + r, quad);
      let valid = columns & vec4<bool>(4u * d + r < shape.key_dim);
      rows[r] = select(vec4f(), vec4f(state[i], state[i + 1u], state[i + 2u], state[i + 3u]), valid);
    }
    states[at + d * shape.value_quads] = rows;
  }
}

// Out of the slot that begins at `at`.
fn save_state(at: u32, sequence: u32, head: u32, quad: u32) {
  for (var channel = 0u; channel < shape.key_dim; channel++) {
    let values = states[at + channel / 4u * shape.value_quads][channel % 4u];
    let i = row_outside(sequence, head, channel, quad);
    @unroll for (var c = 0u; c < 4u; c++) {
      if (4u * quad + c < shape.value_dim) {
        state[i + c] = values[c];
      }
    }
  }
}
