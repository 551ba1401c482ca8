
// Blocks of pairs. Appended to the kernels that read them.

fn pair_rows(at: u32) -> mat4x4f {
  let next = shape.chunk / 4u;
  return mat4x4f(pairs[at], pairs[at + next], pairs[at + 2u * next], pairs[at + 3u * next]);
}
