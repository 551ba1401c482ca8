// How the rows of a chunk see one another, with c the cumulative log decay:
//   RECEPTANCE_KEY[i, j] = Σ_d r[i] k[j] exp(c[i] - c[j]) and RECEPTANCE_B from b, for j ≤ i;
//   A_KEY[i, j] = Σ_d a[i] k[j] exp(c[i - 1] - c[j]) and A_B from b, for j < i; 0 elsewhere.
// Dispatch: x = chunks, y = heads, z = blocks of LANES tiles; one invocation a tile of 4 × 4 pairs.

override LANES: u32 = 32u;

const RECEPTANCE = 0u;
const B = 1u;
const DECAY = 2u;
const A = 6u;
const KEY = 7u;
const RECEPTANCE_B = 0u;
const A_B = 1u;
const RECEPTANCE_KEY = 3u;
const A_KEY = 4u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> panels: array<vec4f>; // [chunks, heads, 9, chunk, key_quads]
@group(0) @binding(2) var<storage, read_write> pairs: array<vec4f>; // [chunks, heads, 5, chunk, chunk / 4]

@compute @workgroup_size(LANES)
fn rwkv7_pairs(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let tile = workgroup.z * LANES + local.x;
  let quads = shape.chunk / 4u;
  if (tile >= quads * quads) {
    return;
  }
  let tile_row = tile / quads;
  let tile_column = tile % quads;
  let unit = workgroup.x * shape.heads + workgroup.y;
  let plane = shape.chunk * shape.key_quads;
  let i = unit * 9u * plane + 4u * tile_row * shape.key_quads;
  let j = unit * 9u * plane + 4u * tile_column * shape.key_quads;
  var receptance_key = mat4x4f(); // column r: row r of the tile
  var receptance_b = mat4x4f();
  var a_key = mat4x4f();
  var a_b = mat4x4f();
  let length = select(0u, shape.key_quads, tile_column <= tile_row);
  for (var d = 0u; d < length; d++) {
    let r = panel_rows(i + RECEPTANCE * plane + d);
    let a = panel_rows(i + A * plane + d);
    let c = panel_rows(i + DECAY * plane + d);
    let keys = panel_rows(j + KEY * plane + d);
    let bs = panel_rows(j + B * plane + d);
    let decays = panel_rows(j + DECAY * plane + d);
    var before = vec4f();
    if (tile_row > 0u) {
      before = panels[i + DECAY * plane + d - shape.key_quads];
    }
    var decay = left(repeated(before) - decays);
    var k = times(keys, decay);
    var b = times(bs, decay);
    a_key[0] += a[0] * k;
    a_b[0] += a[0] * b;
    decay = left(repeated(c[0]) - decays);
    k = times(keys, decay);
    b = times(bs, decay);
    receptance_key[0] += r[0] * k;
    receptance_b[0] += r[0] * b;
    a_key[1] += a[1] * k;
    a_b[1] += a[1] * b;
    decay = left(repeated(c[1]) - decays);
    k = times(keys, decay);
    b = times(bs, decay);
    receptance_key[1] += r[1] * k;
    receptance_b[1] += r[1] * b;
    a_key[2] += a[2] * k;
    a_b[2] += a[2] * b;
    decay = left(repeated(c[2]) - decays);
    k = times(keys, decay);
    b = times(bs, decay);
    receptance_key[2] += r[2] * k;
    receptance_b[2] += r[2] * b;
    a_key[3] += a[3] * k;
    a_b[3] += a[3] * b;
    decay = left(repeated(c[3]) - decays);
    receptance_key[3] += r[3] * times(keys, decay);
    receptance_b[3] += r[3] * times(bs, decay);
  }
  let size = shape.chunk * quads;
  let out = unit * 5u * size + 4u * tile_row * quads + tile_column;
  for (var r = 0u; r < 4u; r++) {
    let row = vec4u(4u * tile_row + r);
    let columns = 4u * tile_column + vec4u(0u, 1u, 2u, 3u);
    let at = out + r * quads;
    pairs[at + RECEPTANCE_KEY * size] = select(vec4f(), receptance_key[r], columns <= row);
    pairs[at + RECEPTANCE_B * size] = select(vec4f(), receptance_b[r], columns <= row);
    pairs[at + A_KEY * size] = select(vec4f(), a_key[r], columns < row);
    pairs[at + A_B * size] = select(vec4f(), a_b[r], columns < row);
  }
}
