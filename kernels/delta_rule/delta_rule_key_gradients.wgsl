// From the gradients into panels and pairs to those into the rows of the chunk, in place, with
// e[i, j] = exp(c[i] - c[j]), A = the gradient into QUERY_KEY and B = -β[i] SOLVED_UPDATE into KEY_KEY:
//   QUERY = exp(c[r]) QUERY_IN + Σ_{j ≤ r} A[r, j] k[j] e[r, j]          (into SCALE * q)
//   KEY_LATER = -β[r] exp(c[r]) KEY_IN + Σ_{j < r} B[r, j] k[j] e[r, j]   (into k as the later of a pair)
//   KEY_EARLIER = exp(c' - c[r]) KEY_OUT + Σ_{i ≥ r} (A[i, r] q[i] + B[i, r] k[i]) e[i, r].
// Dispatch: x = chunks, y = heads, z = blocks of LANES key quads; one invocation a quad of channels.

override LANES: u32 = 32u;

const QUERY = 0u;
const KEY = 1u;
const DECAY = 2u;
const KEY_LATER = 1u; // KEY_IN before
const KEY_EARLIER = 2u; // KEY_OUT before
const QUERY_KEY = 0u;
const SOLVED_UPDATE = 1u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> panels: array<vec4f>; // [chunks, heads, 6, chunk, key_quads]
@group(0) @binding(2) var<storage, read> beta: array<f32>; // [chunks, heads, chunk]
@group(0) @binding(3) var<storage, read> pair_gradients: array<f32>; // [chunks, heads, 2, chunk, chunk]
@group(0) @binding(4) var<storage, read_write> panel_gradients: array<vec4f>; // [chunks, heads, 3, chunk, key_quads]

@compute @workgroup_size(LANES)
fn delta_rule_key_gradients(
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
  let panel = unit * 6u * plane + quad;
  let out = unit * 3u * plane + quad;
  let pair = unit * 2u * shape.chunk * shape.chunk;
  let solved = pair + SOLVED_UPDATE * shape.chunk * shape.chunk;
  let last = panels[panel + DECAY * plane + (shape.chunk - 1u) * next];
  for (var r = 0u; r < shape.chunk; r += 4u) {
    let c = panel_rows(panel + DECAY * plane + r * next);
    var query_sum = mat4x4f();
    var later_sum = mat4x4f();
    for (var j = 0u; j < r + 4u; j++) {
      let at = panel + j * next;
      let k = times(left(c - repeated(panels[at + DECAY * plane])), repeated(panels[at + KEY * plane]));
      query_sum += scaled(k, pair_column(pair + r * shape.chunk + j));
      later_sum += scaled(k, pair_column(solved + r * shape.chunk + j));
    }
    var earlier_sum = mat4x4f();
    for (var i = r; i < shape.chunk; i++) {
      let at = panel + i * next;
      let from_query = pair_row(pair + i * shape.chunk + r);
      let from_key = -beta[unit * shape.chunk + i] * pair_row(solved + i * shape.chunk + r);
      earlier_sum += times(
        left(repeated(panels[at + DECAY * plane]) - c),
        outer(panels[at + QUERY * plane], from_query) + outer(panels[at + KEY * plane], from_key),
      );
    }
    let at = out + r * next;
    let start = left(c);
    let b = unit * shape.chunk + r;
    let later = times(start, gradient_rows(at + KEY_LATER * plane)) + later_sum;
    let end = left(repeated(last) - c);
    store_gradients(at, times(start, gradient_rows(at)) + query_sum);
    store_gradients(
      at + KEY_LATER * plane,
      scaled(later, -vec4f(beta[b], beta[b + 1u], beta[b + 2u], beta[b + 3u])),
    );
    store_gradients(
      at + KEY_EARLIER * plane,
      times(end, gradient_rows(at + KEY_EARLIER * plane)) + earlier_sum,
    );
  }
}
