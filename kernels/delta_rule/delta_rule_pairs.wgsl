// How the rows of a chunk see one another, with c the cumulative log decay:
//   QUERY_KEY[i, j] = Σ_d q[i] k[j] exp(c[i] - c[j]) for j ≤ i, and KEY_KEY likewise from k[i] for j < i;
// 0 elsewhere. Also gathers β, 0 past the chunk's end.
// Dispatch: x = chunks, y = heads, z = blocks of LANES tiles; one invocation a tile of 4 × 4 pairs.

override LANES: u32 = 32u;
override PER_CHANNEL: bool = false;

const QUERY = 0u;
const KEY = 1u;
const DECAY = 2u;
const QUERY_KEY = 0u;
const KEY_KEY = 1u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec4u>; // [chunks]: first row, rows, state slot
@group(0) @binding(2) var<storage, read> panels: array<vec4f>; // [chunks, heads, 6, chunk, key_quads]
@group(0) @binding(3) var<storage, read> beta: array<f32>; // [rows, heads]
@group(0) @binding(4) var<storage, read_write> pairs: array<vec4f>; // [chunks, heads, 3, chunk, chunk / 4]
@group(0) @binding(5) var<storage, read_write> chunk_beta: array<f32>; // [chunks, heads, chunk]

@compute @workgroup_size(LANES)
fn delta_rule_pairs(
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
  let next = shape.key_quads;
  let plane = shape.chunk * next;
  let i = unit * 6u * plane + 4u * tile_row * next;
  let j = unit * 6u * plane + 4u * tile_column * next;
  var query_key = mat4x4f(); // column r: row r of the tile
  var key_key = mat4x4f();
  let length = select(0u, next, tile_column <= tile_row);
  for (var d = 0u; d < length; d++) {
    let queries = panel_rows(i + QUERY * plane + d);
    let keys = panel_rows(i + KEY * plane + d);
    let others = panel_rows(j + KEY * plane + d);
    if (PER_CHANNEL) {
      let to = panel_rows(i + DECAY * plane + d);
      let decays = panel_rows(j + DECAY * plane + d);
      let others0 = times(others, left(repeated(to[0]) - decays));
      let others1 = times(others, left(repeated(to[1]) - decays));
      let others2 = times(others, left(repeated(to[2]) - decays));
      let others3 = times(others, left(repeated(to[3]) - decays));
      query_key += mat4x4f(
        queries[0] * others0, queries[1] * others1, queries[2] * others2, queries[3] * others3,
      );
      key_key += mat4x4f(keys[0] * others0, keys[1] * others1, keys[2] * others2, keys[3] * others3);
    } else {
      query_key += transpose(others) * queries;
      key_key += transpose(others) * keys;
    }
  }
  // With one decay for all channels, channel 0 holds it.
  let to = transpose(panel_rows(i + DECAY * plane))[0];
  let decays = transpose(panel_rows(j + DECAY * plane))[0];
  let chunk = chunks[workgroup.x];
  let out = (unit * 3u * shape.chunk + 4u * tile_row) * quads + tile_column;
  for (var r = 0u; r < 4u; r++) {
    let row = 4u * tile_row + r;
    let columns = 4u * tile_column + vec4u(0u, 1u, 2u, 3u);
    let at = out + r * quads;
    var factor = vec4f(1.0);
    if (!PER_CHANNEL) {
      factor = exp(min(to[r] - decays, vec4f()));
    }
    pairs[at + QUERY_KEY * shape.chunk * quads] =
      select(vec4f(), query_key[r] * factor, columns <= vec4u(row));
    pairs[at + KEY_KEY * shape.chunk * quads] =
      select(vec4f(), key_key[r] * factor, columns < vec4u(row));
    if (tile_column == 0u) {
      let source = (chunk.x + row) * shape.heads + workgroup.y;
      chunk_beta[unit * shape.chunk + row] = select(0.0, beta[source], row < chunk.y);
    }
  }
}
