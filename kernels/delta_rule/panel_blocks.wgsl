
// Blocks of panels. Appended to the kernels that bind them.

fn panel_rows(at: u32) -> mat4x4f {
  let next = shape.key_quads;
  return mat4x4f(panels[at], panels[at + next], panels[at + 2u * next], panels[at + 3u * next]);
}
