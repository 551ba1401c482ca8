// dβ[i] = Σ_v dY[i] R[i] - Σ_{j < i} SOLVED_UPDATE[i, j] KEY_KEY[i, j].
// Dispatch: x = chunks, y = heads, z = blocks of LANES rows; one invocation a row.

override LANES: u32 = 32u;

const KEY_KEY = 1u;
const SOLVED_UPDATE = 1u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec4u>; // [chunks]: first row, rows, state slot
@group(0) @binding(2) var<storage, read> pairs: array<vec4f>; // [chunks, heads, 3, chunk, chunk / 4]
@group(0) @binding(3) var<storage, read> pair_gradients: array<vec4f>; // [chunks, heads, 2, chunk, chunk / 4]
@group(0) @binding(4) var<storage, read> residual: array<vec4f>; // [chunks, heads, chunk, value_quads]
@group(0) @binding(5) var<storage, read> solved: array<vec4f>; // [chunks, heads, chunk, value_quads]: dY
@group(0) @binding(6) var<storage, read_write> beta_gradient: array<f32>; // [rows, heads]

@compute @workgroup_size(LANES)
fn delta_rule_beta_gradient(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let row = workgroup.z * LANES + local.x;
  let chunk = chunks[workgroup.x];
  if (row >= chunk.y) {
    return;
  }
  let unit = workgroup.x * shape.heads + workgroup.y;
  let quads = shape.chunk / 4u;
  var sum = 0.0;
  let rows = (unit * shape.chunk + row) * shape.value_quads;
  for (var v = 0u; v < shape.value_quads; v++) {
    sum += dot(solved[rows + v], residual[rows + v]);
  }
  let factors = ((unit * 3u + KEY_KEY) * shape.chunk + row) * quads;
  let products = ((unit * 2u + SOLVED_UPDATE) * shape.chunk + row) * quads;
  for (var j = 0u; j < quads; j++) {
    sum -= dot(pair_gradients[products + j], pairs[factors + j]);
  }
  beta_gradient[(chunk.x + row) * shape.heads + workgroup.y] = sum;
}
