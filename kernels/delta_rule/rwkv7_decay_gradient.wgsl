// The log decay's gradient from those into the rows of the chunk, with S' the state at its end, G its
// gradient and q = SCALE * receptance:
//   dw[i] = Σ_v S' G + Σ_{r ≥ i} (q[r] RECEPTANCE[r] - k[r] KEY[r] - b[r] B[r]) + Σ_{r > i} a[r] A[r].
// Dispatch: x = chunks, y = heads, z = blocks of LANES key quads; one invocation a quad of channels.

override LANES: u32 = 32u;

const RECEPTANCE = 0u;
const B = 1u;
const A = 6u;
const KEY = 7u;
const A_GRADIENT = 1u;
const B_GRADIENT = 2u;
const KEY_GRADIENT = 3u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec4u>; // [chunks]: first row, rows, state slot
@group(0) @binding(2) var<storage, read> panels: array<vec4f>; // [chunks, heads, 9, chunk, key_quads]
@group(0) @binding(3) var<storage, read> panel_gradients: array<vec4f>; // [chunks, heads, 4, chunk, key_quads]
@group(0) @binding(4) var<storage, read> states: array<vec4f>; // [slots, heads, 4 * key_quads, value_quads]
@group(0) @binding(5) var<storage, read> state_gradients: array<vec4f>; // [slots, heads, 4 * key_quads, value_quads]
@group(0) @binding(6) var<storage, read_write> log_decay_gradient: array<f32>; // [rows, heads, key_dim]

@compute @workgroup_size(LANES)
fn rwkv7_decay_gradient(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let quad = workgroup.z * LANES + local.x;
  if (4u * quad >= shape.key_dim) {
    return;
  }
  let channels = shape.key_dim - 4u * quad; // of the quad and past it
  let chunk = chunks[workgroup.x];
  let unit = workgroup.x * shape.heads + workgroup.y;
  let width = shape.value_quads;
  let state = ((chunk.z + 1u) * shape.heads + workgroup.y) * shape.key_quads + quad;
  var sum = vec4f();
  for (var v = 0u; v < width; v++) {
    let s = state * 4u * width + v;
    sum += vec4f(
      dot(states[s], state_gradients[s]),
      dot(states[s + width], state_gradients[s + width]),
      dot(states[s + 2u * width], state_gradients[s + 2u * width]),
      dot(states[s + 3u * width], state_gradients[s + 3u * width]),
    );
  }
  let plane = shape.chunk * shape.key_quads;
  for (var r = chunk.y; r > 0u; r--) {
    let inside = (r - 1u) * shape.key_quads + quad;
    let panel = unit * 9u * plane + inside;
    let gradient = unit * 4u * plane + inside;
    sum += panels[panel + RECEPTANCE * plane] * panel_gradients[gradient] -
      panels[panel + KEY * plane] * panel_gradients[gradient + KEY_GRADIENT * plane] -
      panels[panel + B * plane] * panel_gradients[gradient + B_GRADIENT * plane];
    let i = ((chunk.x + r - 1u) * shape.heads + workgroup.y) * shape.key_dim + 4u * quad;
    log_decay_gradient[i] = sum.x;
    if (channels > 1u) {
      log_decay_gradient[i + 1u] = sum.y;
    }
    if (channels > 2u) {
      log_decay_gradient[i + 2u] = sum.z;
    }
    if (channels > 3u) {
      log_decay_gradient[i + 3u] = sum.w;
    }
    sum += panels[panel + A * plane] * panel_gradients[gradient + A_GRADIENT * plane];
  }
}
