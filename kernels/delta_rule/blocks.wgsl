
// Extents of the chunked form, and products of blocks: a block is four rows of a quad, a row a column.
// Appended to every kernel that works on chunks.

struct Shape {
  heads: u32,
  key_heads: u32,
  key_dim: u32,
  value_dim: u32,
  chunk: u32, // rows a chunk, a multiple of 16
  key_quads: u32, // key_dim padded to a multiple of 16, over 4
  value_quads: u32, // value_dim padded to a multiple of 4, over 4
}

fn times(x: mat4x4f, y: mat4x4f) -> mat4x4f {
  return mat4x4f(x[0] * y[0], x[1] * y[1], x[2] * y[2], x[3] * y[3]);
}

// Four rows, each times a factor of its own.
fn scaled(rows: mat4x4f, factors: vec4f) -> mat4x4f {
  return mat4x4f(
    rows[0] * factors.x, rows[1] * factors.y, rows[2] * factors.z, rows[3] * factors.w,
  );
}

// One quad in four rows.
fn repeated(x: vec4f) -> mat4x4f {
  return mat4x4f(x, x, x, x);
}

// exp(x), held at 1 where a pair that is 0 anyway would take it above.
fn left(x: mat4x4f) -> mat4x4f {
  let zero = vec4f();
  return mat4x4f(
    exp(min(x[0], zero)), exp(min(x[1], zero)), exp(min(x[2], zero)), exp(min(x[3], zero)),
  );
}
