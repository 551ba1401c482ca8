// Gradients into the pairs: QUERY_KEY[i, j] = Σ_v dO[i] W[j] for j ≤ i;
// SOLVED_UPDATE[i, j] = Σ_v dY[i] W[j] for j < i, of which -β[i] times is the gradient into KEY_KEY.
// In RWKV-7 these are RECEPTANCE_B and A_B, and with HAS_VALUE there are RECEPTANCE_KEY = dO Vᵀ for
// j ≤ i and A_KEY = dY Vᵀ for j < i. 0 elsewhere.
// Dispatch: x = chunks, y = heads, z = blocks of LANES tiles; one invocation a tile of 4 × 4 pairs.

override LANES: u32 = 32u;
override PLANES: u32 = 2u;
override HAS_VALUE: bool = false;

const QUERY_KEY = 0u;
const SOLVED_UPDATE = 1u;
const RECEPTANCE_KEY = 2u;
const A_KEY = 3u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> output_gradient: array<vec4f>; // [chunks, heads, chunk, value_quads]
@group(0) @binding(2) var<storage, read> solved: array<vec4f>; // [chunks, heads, chunk, value_quads]: dY
@group(0) @binding(3) var<storage, read> value: array<vec4f>; // [chunks, heads, chunk, value_quads]
@group(0) @binding(4) var<storage, read> update: array<vec4f>; // [chunks, heads, chunk, value_quads]
@group(0) @binding(5) var<storage, read_write> pair_gradients: array<vec4f>; // [chunks, heads, PLANES, chunk, chunk / 4]

fn output_rows(at: u32) -> mat4x4f {
  let next = shape.value_quads;
  return mat4x4f(
    output_gradient[at],
    output_gradient[at + next],
    output_gradient[at + 2u * next],
    output_gradient[at + 3u * next],
  );
}

fn solved_rows(at: u32) -> mat4x4f {
  let next = shape.value_quads;
  return mat4x4f(solved[at], solved[at + next], solved[at + 2u * next], solved[at + 3u * next]);
}

fn value_rows(at: u32) -> mat4x4f {
  let next = shape.value_quads;
  return mat4x4f(value[at], value[at + next], value[at + 2u * next], value[at + 3u * next]);
}

fn update_rows(at: u32) -> mat4x4f {
  let next = shape.value_quads;
  return mat4x4f(update[at], update[at + next], update[at + 2u * next], update[at + 3u * next]);
}

@compute @workgroup_size(LANES)
fn delta_rule_pair_gradients(
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
  let width = shape.value_quads;
  let i = (unit * shape.chunk + 4u * tile_row) * width;
  let j = (unit * shape.chunk + 4u * tile_column) * width;
  var query_key = mat4x4f(); // column r: row r of the tile
  var solved_update = mat4x4f();
  var receptance_key = mat4x4f();
  var a_key = mat4x4f();
  let length = select(0u, width, tile_column <= tile_row);
  for (var c = 0u; c < length; c++) {
    let w = transpose(update_rows(j + c));
    let o = output_rows(i + c);
    let y = solved_rows(i + c);
    query_key += w * o;
    solved_update += w * y;
    if (HAS_VALUE) {
      let v = transpose(value_rows(j + c));
      receptance_key += v * o;
      a_key += v * y;
    }
  }
  let plane = shape.chunk * quads;
  let out = unit * PLANES * plane + 4u * tile_row * quads + tile_column;
  for (var r = 0u; r < 4u; r++) {
    let row = vec4u(4u * tile_row + r);
    let columns = 4u * tile_column + vec4u(0u, 1u, 2u, 3u);
    let at = out + r * quads;
    pair_gradients[at + QUERY_KEY * plane] = select(vec4f(), query_key[r], columns <= row);
    pair_gradients[at + SOLVED_UPDATE * plane] = select(vec4f(), solved_update[r], columns < row);
    if (HAS_VALUE) {
      pair_gradients[at + RECEPTANCE_KEY * plane] = select(vec4f(), receptance_key[r], columns <= row);
      pair_gradients[at + A_KEY * plane] = select(vec4f(), a_key[r], columns < row);
    }
  }
}
