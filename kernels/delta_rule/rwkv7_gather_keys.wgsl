// Panels of what acts on the key channels, a chunk and head at a time, with c[i] the cumulative log
// decay inside the chunk (row i included) and c' its last row:
//   RECEPTANCE = SCALE * r, KEY = k, A = a, B = b, DECAY = c, RECEPTANCE_IN = RECEPTANCE * exp(c),
//   A_IN[i] = a[i] * exp(c[i - 1]), KEY_OUT = k * exp(c' - c), B_OUT = b * exp(c' - c).
// Rows past the chunk's end and channels past key_dim are 0.
// Dispatch: x = chunks, y = heads, z = blocks of LANES key quads; one invocation a quad of channels.

override LANES: u32 = 32u;
override SCALE: f32 = 1.0;

const RECEPTANCE = 0u;
const B = 1u;
const DECAY = 2u;
const RECEPTANCE_IN = 3u;
const A_IN = 4u;
const B_OUT = 5u;
const A = 6u;
const KEY = 7u;
const KEY_OUT = 8u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec4u>; // [chunks]: first row, rows, state slot
@group(0) @binding(2) var<storage, read> receptance: array<f32>; // [rows, heads, key_dim]
@group(0) @binding(3) var<storage, read> log_decay: array<f32>; // [rows, heads, key_dim]
@group(0) @binding(4) var<storage, read> key: array<f32>; // [rows, heads, key_dim]
@group(0) @binding(5) var<storage, read> a: array<f32>; // [rows, heads, key_dim]
@group(0) @binding(6) var<storage, read> b: array<f32>; // [rows, heads, key_dim]
@group(0) @binding(7) var<storage, read_write> panels: array<vec4f>; // [chunks, heads, 9, chunk, key_quads]

@compute @workgroup_size(LANES)
fn rwkv7_gather_keys(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let quad = workgroup.z * LANES + local.x;
  if (quad >= shape.key_quads) {
    return;
  }
  let chunk = chunks[workgroup.x];
  let head = workgroup.y;
  let plane = shape.chunk * shape.key_quads;
  let panel = (workgroup.x * shape.heads + head) * 9u * plane + quad;
  let channels = 4u * quad + vec4u(0u, 1u, 2u, 3u) < vec4u(shape.key_dim);
  var cumulative = vec4f();
  for (var row = 0u; row < shape.chunk; row++) {
    let valid = channels & vec4<bool>(row < chunk.y);
    let i = ((chunk.x + row) * shape.heads + head) * shape.key_dim + 4u * quad;
    let at = panel + row * shape.key_quads;
    let r = SCALE * select(
      vec4f(),
      vec4f(receptance[i], receptance[i + 1u], receptance[i + 2u], receptance[i + 3u]),
      valid,
    );
    let before = select(vec4f(), vec4f(a[i], a[i + 1u], a[i + 2u], a[i + 3u]), valid);
    panels[at + A * plane] = before;
    panels[at + A_IN * plane] = before * exp(cumulative);
    cumulative += select(
      vec4f(),
      vec4f(log_decay[i], log_decay[i + 1u], log_decay[i + 2u], log_decay[i + 3u]),
      valid,
    );
    panels[at + RECEPTANCE * plane] = r;
    panels[at + RECEPTANCE_IN * plane] = r * exp(cumulative);
    panels[at + DECAY * plane] = cumulative;
    panels[at + KEY * plane] =
      select(vec4f(), vec4f(key[i], key[i + 1u], key[i + 2u], key[i + 3u]), valid);
    panels[at + B * plane] = select(vec4f(), vec4f(b[i], b[i + 1u], b[i + 2u], b[i + 3u]), valid);
  }
  for (var row = 0u; row < shape.chunk; row++) {
    let at = panel + row * shape.key_quads;
    let out = exp(cumulative - panels[at + DECAY * plane]);
    panels[at + KEY_OUT * plane] = panels[at + KEY * plane] * out;
    panels[at + B_OUT * plane] = panels[at + B * plane] * out;
  }
}
