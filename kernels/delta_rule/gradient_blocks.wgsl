
// Blocks of the gradients into panels and pairs. Appended to the kernels that make those into rows.

fn gradient_rows(at: u32) -> mat4x4f {
  let next = shape.key_quads;
  return mat4x4f(
    panel_gradients[at],
    panel_gradients[at + next],
    panel_gradients[at + 2u * next],
    panel_gradients[at + 3u * next],
  );
}

fn store_gradients(at: u32, rows: mat4x4f) {
  let next = shape.key_quads;
  panel_gradients[at] = rows[0];
  panel_gradients[at + next] = rows[1];
  panel_gradients[at + 2u * next] = rows[2];
  panel_gradients[at + 3u * next] = rows[3];
}

// Entries [r .. r + 3, j] of a pair gradient, and [i, r .. r + 3].
fn pair_column(at: u32) -> vec4f {
  let next = shape.chunk;
  return vec4f(
    pair_gradients[at],
    pair_gradients[at + next],
    pair_gradients[at + 2u * next],
    pair_gradients[at + 3u * next],
  );
}

fn pair_row(at: u32) -> vec4f {
  return vec4f(
    pair_gradients[at], pair_gradients[at + 1u], pair_gradients[at + 2u], pair_gradients[at + 3u],
  );
}

// One quad in four rows, each with a factor of its own.
fn outer(x: vec4f, factors: vec4f) -> mat4x4f {
  return mat4x4f(x * factors.x, x * factors.y, x * factors.z, x * factors.w);
}
