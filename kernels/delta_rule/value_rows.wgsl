// Value-like rows in the order of the sequence.

import package::delta_rule::blocks::shape;

@group(0) @binding(9) var<storage, read_write> rows: array<f32>; // [rows, heads, value_dim]

// Four rows from `first` on, of which there are those before `end`.
fn store_rows(first: u32, end: u32, head: u32, quad: u32, values: mat4x4f) {
  @unroll for (var r = 0u; r < 4u; r++) {
    if (first + r < end) {
      let i = ((first + r) * shape.heads + head) * shape.value_dim + 4u * quad;
      @unroll for (var c = 0u; c < 4u; c++) {
        if (4u * quad + c < shape.value_dim) {
          rows[i + c] = values[r][c];
        }
      }
    }
  }
}
