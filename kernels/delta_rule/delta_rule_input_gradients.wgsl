// Gradients of queries, keys and log decays from those into the rows of each chunk:
//   dq = SCALE * QUERY, dk = KEY_LATER + KEY_EARLIER, both summed over the heads that share a key head;
//   dg[i] = Σ_v S' G + Σ_{r ≥ i} (q[r] QUERY[r] + k[r] (KEY_LATER[r] - KEY_EARLIER[r])), a key channel.
// Dispatch: x = chunks, y = key heads, z = blocks of LANES key quads; one invocation a quad of channels.

override LANES: u32 = 32u;
override SCALE: f32 = 1.0;
override HAS_DECAY: bool = false;

const QUERY = 0u;
const KEY = 1u;
const KEY_LATER = 1u;
const KEY_EARLIER = 2u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec4u>; // [chunks]: first row, rows, state slot
@group(0) @binding(2) var<storage, read> panels: array<vec4f>; // [chunks, heads, 6, chunk, key_quads]
@group(0) @binding(3) var<storage, read> panel_gradients: array<vec4f>; // [chunks, heads, 3, chunk, key_quads]
@group(0) @binding(4) var<storage, read> states: array<vec4f>; // [slots, heads, 4 * key_quads, value_quads]
@group(0) @binding(5) var<storage, read> state_gradients: array<vec4f>; // [slots, heads, 4 * key_quads, value_quads]
@group(0) @binding(6) var<storage, read_write> query_gradient: array<f32>; // [rows, key_heads, key_dim]
@group(0) @binding(7) var<storage, read_write> key_gradient: array<f32>; // [rows, key_heads, key_dim]
@group(0) @binding(8) var<storage, read_write> log_decay_gradient: array<f32>; // [rows, heads, key_dim]

fn store_keys(at: u32, query: vec4f, key: vec4f, add: bool, channels: u32) {
  var q = query;
  var k = key;
  if (add) {
    q += vec4f(
      query_gradient[at], query_gradient[at + 1u], query_gradient[at + 2u], query_gradient[at + 3u],
    );
    k += vec4f(key_gradient[at], key_gradient[at + 1u], key_gradient[at + 2u], key_gradient[at + 3u]);
  }
  if (channels > 0u) {
    query_gradient[at] = q.x;
    key_gradient[at] = k.x;
  }
  if (channels > 1u) {
    query_gradient[at + 1u] = q.y;
    key_gradient[at + 1u] = k.y;
  }
  if (channels > 2u) {
    query_gradient[at + 2u] = q.z;
    key_gradient[at + 2u] = k.z;
  }
  if (channels > 3u) {
    query_gradient[at + 3u] = q.w;
    key_gradient[at + 3u] = k.w;
  }
}

fn store_decays(at: u32, decays: vec4f, channels: u32) {
  if (channels > 0u) {
    log_decay_gradient[at] = decays.x;
  }
  if (channels > 1u) {
    log_decay_gradient[at + 1u] = decays.y;
  }
  if (channels > 2u) {
    log_decay_gradient[at + 2u] = decays.z;
  }
  if (channels > 3u) {
    log_decay_gradient[at + 3u] = decays.w;
  }
}

@compute @workgroup_size(LANES)
fn delta_rule_input_gradients(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let quad = workgroup.z * LANES + local.x;
  if (quad >= shape.key_quads) {
    return;
  }
  let chunk = chunks[workgroup.x];
  let next = shape.key_quads;
  let plane = shape.chunk * next;
  let width = shape.value_quads;
  let group = shape.heads / shape.key_heads;
  let channels = min(4u, max(shape.key_dim, 4u * quad) - 4u * quad);
  for (var member = 0u; member < group; member++) {
    let head = workgroup.y * group + member;
    let unit = workgroup.x * shape.heads + head;
    var decay_sum = vec4f();
    if (HAS_DECAY) {
      let s = (((chunk.z + 1u) * shape.heads + head) * next + quad) * 4u * width;
      for (var v = 0u; v < width; v++) {
        decay_sum += vec4f(
          dot(states[s + v], state_gradients[s + v]),
          dot(states[s + width + v], state_gradients[s + width + v]),
          dot(states[s + 2u * width + v], state_gradients[s + 2u * width + v]),
          dot(states[s + 3u * width + v], state_gradients[s + 3u * width + v]),
        );
      }
    }
    for (var r = chunk.y; r > 0u; r--) {
      let at = unit * 3u * plane + (r - 1u) * next + quad;
      let panel = unit * 6u * plane + (r - 1u) * next + quad;
      let q = panel_gradients[at];
      let later = panel_gradients[at + KEY_LATER * plane];
      let earlier = panel_gradients[at + KEY_EARLIER * plane];
      decay_sum += panels[panel + QUERY * plane] * q +
        panels[panel + KEY * plane] * (later - earlier);
      let row = chunk.x + r - 1u;
      let key_entry = (row * shape.key_heads + workgroup.y) * shape.key_dim + 4u * quad;
      let decay_entry = (row * shape.heads + head) * shape.key_dim + 4u * quad;
      store_keys(key_entry, SCALE * q, later + earlier, member > 0u, channels);
      if (HAS_DECAY) {
        store_decays(decay_entry, decay_sum, channels);
      }
    }
  }
}
