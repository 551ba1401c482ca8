// From the gradients into panels and pairs to those into the rows of the chunk, in place, with
// e[i, j] = exp(c[i] - c[j]) and RK, RB, AK, AB the gradients into the pairs:
//   RECEPTANCE = exp(c[r]) RECEPTANCE_IN + Σ_{j ≤ r} (RK[r, j] k[j] + RB[r, j] b[j]) e[r, j]
//   A = exp(c[r - 1]) A_IN + Σ_{j < r} (AK[r, j] k[j] + AB[r, j] b[j]) e[r - 1, j]
//   KEY = exp(c' - c[r]) KEY_OUT + Σ_{i ≥ r} RK[i, r] q[i] e[i, r] + Σ_{i > r} AK[i, r] a[i] e[i - 1, r]
//   B likewise from B_OUT, RB and AB; q = SCALE * receptance.
// Dispatch: x = chunks, y = heads, z = blocks of LANES key quads; one invocation a quad of channels.

override LANES: u32 = 32u;

const RECEPTANCE = 0u; // RECEPTANCE_IN before
const B = 1u;
const DECAY = 2u;
const A = 6u;
const KEY = 7u;
const A_GRADIENT = 1u; // A_IN before
const B_GRADIENT = 2u; // B_OUT before
const KEY_GRADIENT = 3u; // KEY_OUT before
const RECEPTANCE_B = 0u;
const A_B = 1u;
const RECEPTANCE_KEY = 2u;
const A_KEY = 3u;

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
  var row_before = vec4f(); // c[r - 1]
  for (var r = 0u; r < shape.chunk; r += 4u) {
    let c = panel_rows(panel + DECAY * plane + r * next);
    let before = mat4x4f(row_before, c[0], c[1], c[2]);
    var receptance_sum = mat4x4f();
    var a_sum = mat4x4f();
    for (var j = 0u; j < r + 4u; j++) {
      let at = panel + j * next;
      let pair = pairs + r * shape.chunk + j;
      let k = panels[at + KEY * plane];
      let b = panels[at + B * plane];
      let decay = repeated(panels[at + DECAY * plane]);
      receptance_sum += times(
        left(c - decay),
        outer(k, pair_column(pair + RECEPTANCE_KEY * pair_plane)) +
          outer(b, pair_column(pair + RECEPTANCE_B * pair_plane)),
      );
      a_sum += times(
        left(before - decay),
        outer(k, pair_column(pair + A_KEY * pair_plane)) +
          outer(b, pair_column(pair + A_B * pair_plane)),
      );
    }
    var key_sum = mat4x4f();
    var b_sum = mat4x4f();
    var until = row_before; // c[i - 1]
    for (var i = r; i < shape.chunk; i++) {
      let at = panel + i * next;
      let pair = pairs + i * shape.chunk + r;
      let decay = panels[at + DECAY * plane];
      let q = times(left(repeated(decay) - c), repeated(panels[at + RECEPTANCE * plane]));
      let a = times(left(repeated(until) - c), repeated(panels[at + A * plane]));
      key_sum += scaled(q, pair_row(pair + RECEPTANCE_KEY * pair_plane)) +
        scaled(a, pair_row(pair + A_KEY * pair_plane));
      b_sum += scaled(q, pair_row(pair + RECEPTANCE_B * pair_plane)) +
        scaled(a, pair_row(pair + A_B * pair_plane));
      until = decay;
    }
    let at = unit * 4u * plane + r * next + quad;
    store_gradients(at, times(left(c), gradient_rows(at)) + receptance_sum);
    let at_a = at + A_GRADIENT * plane;
    store_gradients(at_a, times(left(before), gradient_rows(at_a)) + a_sum);
    let end = left(repeated(last) - c);
    let at_key = at + KEY_GRADIENT * plane;
    store_gradients(at_key, times(end, gradient_rows(at_key)) + key_sum);
    let at_b = at + B_GRADIENT * plane;
    store_gradients(at_b, times(end, gradient_rows(at_b)) + b_sum);
    row_before = c[3];
  }
}
