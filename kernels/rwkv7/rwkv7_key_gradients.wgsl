// From the gradients into panels and pairs to those into the rows of the chunk, in place, with
// e[i, j] = exp(c[i] - c[j]) and RK, RB, AK, AB the gradients into the pairs:
//   RECEPTANCE = exp(c[r]) RECEPTANCE_IN + Σ_{j ≤ r} (RK[r, j] k[j] + RB[r, j] b[j]) e[r, j]
//   A = exp(c[r - 1]) A_IN + Σ_{j < r} (AK[r, j] k[j] + AB[r, j] b[j]) e[r - 1, j]
//   KEY = exp(c' - c[r]) KEY_OUT + Σ_{i ≥ r} RK[i, r] q[i] e[i, r] + Σ_{i > r} AK[i, r] a[i] e[i - 1, r]
//   B likewise from B_OUT, RB and AB; q = SCALE * receptance.
// Dispatch: x = chunks, y = heads, z = blocks of LANES key quads; one invocation a quad of channels.

override LANES: u32 = 32u;

const RECEPTANCE = 0u; // RECEPTANCE_IN before
const KEY = 1u;
const A = 2u;
const B = 3u;
const DECAY = 4u;
const A_GRADIENT = 1u; // A_IN before
const KEY_GRADIENT = 2u; // KEY_OUT before
const B_GRADIENT = 3u; // B_OUT before
const RECEPTANCE_KEY = 0u;
const RECEPTANCE_B = 1u;
const A_KEY = 2u;
const A_B = 3u;

struct Shape {
  heads: u32,
  key_dim: u32,
  value_dim: u32,
  chunk: u32, // rows a chunk, a multiple of 16
  key_quads: u32, // key_dim padded to a multiple of 16, over 4
  value_quads: u32, // value_dim padded to a multiple of 4, over 4
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> panels: array<vec4f>; // [chunks, heads, 9, chunk, key_quads]
@group(0) @binding(2) var<storage, read> pair_gradients: array<f32>; // [chunks, heads, 4, chunk, chunk]
@group(0) @binding(3) var<storage, read_write> panel_gradients: array<vec4f>; // [chunks, heads, 4, chunk, key_quads]

@compute @workgroup_size(LANES)
fn rwkv7_key_gradients(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let quad = workgroup.z * LANES + local.x;
  if (quad >= shape.key_quads) {
    return;
  }
  let unit = workgroup.x * shape.heads + workgroup.y;
  let next = shape.key_quads;
  let plane = shape.chunk * next;
  let panel = unit * 9u * plane + quad;
  let pair_plane = shape.chunk * shape.chunk;
  let pairs = unit * 4u * pair_plane;
  let last = panels[panel + DECAY * plane + (shape.chunk - 1u) * next];
  var before = vec4f(); // c[r - 1]
  for (var r = 0u; r < shape.chunk; r++) {
    let c = panels[panel + DECAY * plane + r * next];
    var receptance_sum = vec4f();
    var a_sum = vec4f();
    for (var j = 0u; j <= r; j++) {
      let at = panel + j * next;
      let pair = pairs + r * shape.chunk + j;
      let k = panels[at + KEY * plane];
      let b = panels[at + B * plane];
      let decay = panels[at + DECAY * plane];
      receptance_sum += exp(c - decay) * (pair_gradients[pair + RECEPTANCE_KEY * pair_plane] * k +
        pair_gradients[pair + RECEPTANCE_B * pair_plane] * b);
      // A pair of a row with itself has no gradient: A_KEY and A_B are 0 there.
      a_sum += exp(min(before - decay, vec4f())) *
        (pair_gradients[pair + A_KEY * pair_plane] * k + pair_gradients[pair + A_B * pair_plane] * b);
    }
    var key_sum = vec4f();
    var b_sum = vec4f();
    var until = before; // c[i - 1]
    for (var i = r; i < shape.chunk; i++) {
      let at = panel + i * next;
      let pair = pairs + i * shape.chunk + r;
      let decay = panels[at + DECAY * plane];
      let q = panels[at + RECEPTANCE * plane] * exp(decay - c);
      let a = panels[at + A * plane] * exp(min(until - c, vec4f()));
      key_sum += pair_gradients[pair + RECEPTANCE_KEY * pair_plane] * q +
        pair_gradients[pair + A_KEY * pair_plane] * a;
      b_sum += pair_gradients[pair + RECEPTANCE_B * pair_plane] * q +
        pair_gradients[pair + A_B * pair_plane] * a;
      until = decay;
    }
    let at = unit * 4u * plane + r * next + quad;
    panel_gradients[at] = exp(c) * panel_gradients[at] + receptance_sum;
    panel_gradients[at + A_GRADIENT * plane] =
      exp(before) * panel_gradients[at + A_GRADIENT * plane] + a_sum;
    panel_gradients[at + KEY_GRADIENT * plane] =
      exp(last - c) * panel_gradients[at + KEY_GRADIENT * plane] + key_sum;
    panel_gradients[at + B_GRADIENT * plane] =
      exp(last - c) * panel_gradients[at + B_GRADIENT * plane] + b_sum;
    before = c;
  }
}
