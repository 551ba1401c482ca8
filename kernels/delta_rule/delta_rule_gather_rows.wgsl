// Copies value-like rows into panels, a chunk and head at a time, padded with zeros.
// Dispatch: x = chunks, y = heads, z = blocks of LANES quads; one invocation a quad of one row.

override LANES: u32 = 32u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec4u>; // [chunks]: first row, rows, state slot
@group(0) @binding(2) var<storage, read> rows: array<f32>; // [rows, heads, value_dim]
@group(0) @binding(3) var<storage, read_write> panels: array<vec4f>; // [chunks, heads, chunk, value_quads]

@compute @workgroup_size(LANES)
fn delta_rule_gather_rows(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = workgroup.z * LANES + local.x;
  let plane = shape.chunk * shape.value_quads;
  if (index >= plane) {
    return;
  }
  let chunk = chunks[workgroup.x];
  let row = index / shape.value_quads;
  let column = 4u * (index % shape.value_quads);
  let i = ((chunk.x + row) * shape.heads + workgroup.y) * shape.value_dim + column;
  let valid = vec4<bool>(row < chunk.y) &
    (column + vec4u(0u, 1u, 2u, 3u) < vec4u(shape.value_dim));
  panels[(workgroup.x * shape.heads + workgroup.y) * plane + index] =
    select(vec4f(), vec4f(rows[i], rows[i + 1u], rows[i + 2u], rows[i + 3u]), valid);
}
