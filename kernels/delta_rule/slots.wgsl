// A quad of columns of a state, or of a state's gradient, in its slot of the workspace, padded with zeros,
// and outside in the caller's tensor, where it comes from and goes to; and what carries one over the chunks.
// Dispatch: x = sequences, y = heads, z = groups of invocations, one per quad of columns.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::delta_rule::blocks::shape;
import package::delta_rule::workspace::state_at;

struct Sequence {
  first_chunk: u32,
  chunks: u32,
  first_slot: u32,
  number: u32, // of the span's sequences
}

@group(0) @binding(1) var<storage, read> sequences: array<Sequence>; // [sequences]
@group(0) @binding(2) var<storage, read> panels: array<mat4x4f>; // [units, PANELS, blocks, key_quads]
@group(0) @binding(3) var<storage, read> pairs: array<mat4x4f>; // [units, PAIRS, blocks, blocks]
@if(DECAYED) @group(0) @binding(4) var<storage, read> spans: array<vec4f>; // [units, borders, borders, decay_quads]
@group(0) @binding(9) var<storage, read_write> slots: array<mat4x4f>; // [slots, heads, key_quads, value_quads]
@group(0) @binding(10) var<storage, read_write> outside: array<f32>; // [sequences, heads, key_dim, value_dim]

// The columns that carry passes from slot to slot.
struct Columns {
  sequence: Sequence,
  head: u32,
  quad: u32, // past the last where the invocation has none
}

fn columns_of(invocation: Invocation) -> Columns {
  let quad = invocation.workgroup.z * WORKGROUP_SIZE + invocation.local;
  return Columns(sequences[invocation.workgroup.x], invocation.workgroup.y, quad);
}

// Where they begin in the slot before chunk `n` of the sequence.
fn slot_at(columns: Columns, n: u32) -> u32 {
  return state_at(columns.sequence.first_slot + n, columns.head, 0u) + columns.quad;
}

fn row_outside(columns: Columns, channel: u32) -> u32 {
  let sequence = shape.first_sequence + columns.sequence.number;
  let row = (sequence * shape.heads + columns.head) * shape.key_dim + channel;
  return row * shape.value_dim + 4u * columns.quad;
}

// Into the slot before chunk `n`.
fn load(columns: Columns, n: u32) {
  let at = slot_at(columns, n);
  let inside = 4u * columns.quad + vec4u(0u, 1u, 2u, 3u) < vec4u(shape.value_dim);
  for (var d = 0u; d < shape.key_quads; d++) {
    var rows = mat4x4f();
    @unroll for (var r = 0u; r < 4u; r++) {
      let i = row_outside(columns, 4u * d + r);
      let valid = inside & vec4<bool>(4u * d + r < shape.key_dim);
      rows[r] = select(vec4f(), vec4f(outside[i], outside[i + 1u], outside[i + 2u], outside[i + 3u]), valid);
    }
    slots[at + d * shape.value_quads] = rows;
  }
}

// Out of the slot before chunk `n`.
fn save(columns: Columns, n: u32) {
  let at = slot_at(columns, n);
  for (var channel = 0u; channel < shape.key_dim; channel++) {
    let values = slots[at + channel / 4u * shape.value_quads][channel % 4u];
    let i = row_outside(columns, channel);
    @unroll for (var c = 0u; c < 4u; c++) {
      if (4u * columns.quad + c < shape.value_dim) {
        outside[i + c] = values[c];
      }
    }
  }
}
