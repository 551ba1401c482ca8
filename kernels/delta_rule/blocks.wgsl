// Extents of the chunked form, and arithmetic on blocks: a block is four rows of four numbers, a row in
// each column of a matrix. Row r of `x * factors` is the sum over l of factors[r][l] * x[l].

// Where a loop ends at a uniform, lavapipe (Mesa 22.3) puts the value of the first field in and compiles the
// shader again at each dispatch, 2 to 700 ms, if that made it longer, as factors that are powers of two do.
// So the first is a field that the long kernels do not use.
struct Shape {
  first_sequence: u32, // whose state is the first of the span's in the tensor outside
  heads: u32,
  key_heads: u32,
  key_dim: u32,
  value_dim: u32,
  blocks: u32, // of four rows in a chunk: a multiple of 4
  key_quads: u32, // of channels, padded: a multiple of 4
  value_quads: u32, // of columns, padded
  scale: f32, // of the query
  plane: u32, // the kind of rows that a dispatch is about, where it is about one
}

@group(0) @binding(0) var<uniform> shape: Shape;

// Entry by entry.
fn times(x: mat4x4f, y: mat4x4f) -> mat4x4f {
  return mat4x4f(x[0] * y[0], x[1] * y[1], x[2] * y[2], x[3] * y[3]);
}

// Each row times the same four numbers.
fn times_row(x: mat4x4f, row: vec4f) -> mat4x4f {
  return mat4x4f(x[0] * row, x[1] * row, x[2] * row, x[3] * row);
}

// Each row times a number of its own.
fn scaled(x: mat4x4f, factors: vec4f) -> mat4x4f {
  return mat4x4f(x[0] * factors.x, x[1] * factors.y, x[2] * factors.z, x[3] * factors.w);
}

fn sum_of_rows(x: mat4x4f) -> vec4f {
  return (x[0] + x[1]) + (x[2] + x[3]);
}

// The decay from the start of a block through each row, from the decays of its rows.
fn through_rows(decay: mat4x4f) -> mat4x4f {
  let two = decay[0] * decay[1];
  let three = two * decay[2];
  return mat4x4f(decay[0], two, three, three * decay[3]);
}

// The decay from the start of a block to each row, without the row's own.
fn before_rows(decay: mat4x4f) -> mat4x4f {
  let two = decay[0] * decay[1];
  return mat4x4f(vec4f(1.0), decay[0], two, two * decay[2]);
}

// The decay from each row, without its own, to the end of a block.
fn after_rows(decay: mat4x4f) -> mat4x4f {
  let two = decay[2] * decay[3];
  return mat4x4f(decay[1] * two, two, decay[3], vec4f(1.0));
}
