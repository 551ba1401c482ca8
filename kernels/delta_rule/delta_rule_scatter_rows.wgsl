// Copies value-like rows from panels back into sequence order; with HAS_FACTORS, each times a factor.
// Dispatch: x = chunks, y = heads, z = blocks of LANES quads; one invocation a quad of one row.

override LANES: u32 = 32u;
override HAS_FACTORS: bool = false;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec4u>; // [chunks]: first row, rows, state slot
@group(0) @binding(2) var<storage, read> factors: array<f32>; // [chunks, heads, chunk]
@group(0) @binding(3) var<storage, read> panels: array<vec4f>; // [chunks, heads, chunk, value_quads]
@group(0) @binding(4) var<storage, read_write> rows: array<f32>; // [rows, heads, value_dim]

@compute @workgroup_size(LANES)
fn delta_rule_scatter_rows(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = workgroup.z * LANES + local.x;
  let row = index / shape.value_quads;
  let chunk = chunks[workgroup.x];
  if (row >= chunk.y) {
    return;
  }
  let unit = workgroup.x * shape.heads + workgroup.y;
  let column = 4u * (index % shape.value_quads);
  let i = ((chunk.x + row) * shape.heads + workgroup.y) * shape.value_dim + column;
  var values = panels[unit * shape.chunk * shape.value_quads + index];
  if (HAS_FACTORS) {
    values *= factors[unit * shape.chunk + row];
  }
  rows[i] = values.x;
  if (column + 1u < shape.value_dim) {
    rows[i + 1u] = values.y;
  }
  if (column + 2u < shape.value_dim) {
    rows[i + 2u] = values.z;
  }
  if (column + 3u < shape.value_dim) {
    rows[i + 3u] = values.w;
  }
}
