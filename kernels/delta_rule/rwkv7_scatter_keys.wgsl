// Copies the gradients of what acts on key channels from panels back into sequence order; the
// receptance's times SCALE.
// Dispatch: x = chunks, y = heads, z = blocks of LANES quads; one invocation a quad of one row.

override LANES: u32 = 32u;
override SCALE: f32 = 1.0;

const A_GRADIENT = 1u;
const B_GRADIENT = 2u;
const KEY_GRADIENT = 3u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec4u>; // [chunks]: first row, rows, state slot
@group(0) @binding(2) var<storage, read> panel_gradients: array<vec4f>; // [chunks, heads, 4, chunk, key_quads]
@group(0) @binding(3) var<storage, read_write> receptance_gradient: array<f32>; // [rows, heads, key_dim]
@group(0) @binding(4) var<storage, read_write> a_gradient: array<f32>; // [rows, heads, key_dim]
@group(0) @binding(5) var<storage, read_write> key_gradient: array<f32>; // [rows, heads, key_dim]
@group(0) @binding(6) var<storage, read_write> b_gradient: array<f32>; // [rows, heads, key_dim]

@compute @workgroup_size(LANES)
fn rwkv7_scatter_keys(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = workgroup.z * LANES + local.x;
  let row = index / shape.key_quads;
  let channel = 4u * (index % shape.key_quads);
  let chunk = chunks[workgroup.x];
  if (row >= chunk.y || channel >= shape.key_dim) {
    return;
  }
  let plane = shape.chunk * shape.key_quads;
  let at = (workgroup.x * shape.heads + workgroup.y) * 4u * plane + index;
  let i = ((chunk.x + row) * shape.heads + workgroup.y) * shape.key_dim + channel;
  let r = SCALE * panel_gradients[at];
  let a = panel_gradients[at + A_GRADIENT * plane];
  let b = panel_gradients[at + B_GRADIENT * plane];
  let k = panel_gradients[at + KEY_GRADIENT * plane];
  receptance_gradient[i] = r.x;
  a_gradient[i] = a.x;
  key_gradient[i] = k.x;
  b_gradient[i] = b.x;
  if (channel + 1u < shape.key_dim) {
    receptance_gradient[i + 1u] = r.y;
    a_gradient[i + 1u] = a.y;
    key_gradient[i + 1u] = k.y;
    b_gradient[i + 1u] = b.y;
  }
  if (channel + 2u < shape.key_dim) {
    receptance_gradient[i + 2u] = r.z;
    a_gradient[i + 2u] = a.z;
    key_gradient[i + 2u] = k.z;
    b_gradient[i + 2u] = b.z;
  }
  if (channel + 3u < shape.key_dim) {
    receptance_gradient[i + 3u] = r.w;
    a_gradient[i + 3u] = a.w;
    key_gradient[i + 3u] = k.w;
    b_gradient[i + 3u] = b.w;
  }
}
