// Panels of queries and keys, a chunk and head at a time, with c the cumulative log decay inside the
// chunk (this row included) and c' its last row:
//   QUERY = SCALE * q, KEY = k, DECAY = c, QUERY_IN = QUERY * exp(c), KEY_IN = k * exp(c),
//   KEY_OUT = k * exp(c' - c). Rows past the chunk's end and channels past key_dim are 0.
// Dispatch: x = chunks, y = heads, z = blocks of LANES key quads; one invocation a quad of channels.

override LANES: u32 = 32u;
override SCALE: f32 = 1.0;
override HAS_DECAY: bool = false;
override PER_CHANNEL: bool = false; // log_decay has an entry a key channel, not one a head

const QUERY = 0u;
const KEY = 1u;
const DECAY = 2u;
const QUERY_IN = 3u;
const KEY_IN = 4u;
const KEY_OUT = 5u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec4u>; // [chunks]: first row, rows, state slot
@group(0) @binding(2) var<storage, read> query: array<f32>; // [rows, key_heads, key_dim]
@group(0) @binding(3) var<storage, read> key: array<f32>; // [rows, key_heads, key_dim]
@group(0) @binding(4) var<storage, read> log_decay: array<f32>; // [rows, heads(, key_dim)]
@group(0) @binding(5) var<storage, read_write> panels: array<vec4f>; // [chunks, heads, 6, chunk, key_quads]

fn decay_at(row: u32, head: u32, channel: u32) -> vec4f {
  if (!HAS_DECAY) {
    return vec4f();
  }
  let at = row * shape.heads + head;
  if (!PER_CHANNEL) {
    return vec4f(log_decay[at]);
  }
  let i = at * shape.key_dim + channel;
  return vec4f(log_decay[i], log_decay[i + 1u], log_decay[i + 2u], log_decay[i + 3u]);
}

@compute @workgroup_size(LANES)
fn delta_rule_gather_keys(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let quad = workgroup.z * LANES + local.x;
  if (quad >= shape.key_quads) {
    return;
  }
  let chunk = chunks[workgroup.x];
  let head = workgroup.y;
  let key_head = head / (shape.heads / shape.key_heads);
  let channel = 4u * quad;
  let channels = channel + vec4u(0u, 1u, 2u, 3u) < vec4u(shape.key_dim);
  let plane = shape.chunk * shape.key_quads;
  let panel = (workgroup.x * shape.heads + head) * 6u * plane + quad;
  var cumulative = vec4f();
  for (var row = 0u; row < shape.chunk; row++) {
    let valid = channels & vec4<bool>(row < chunk.y);
    let i = ((chunk.x + row) * shape.key_heads + key_head) * shape.key_dim + channel;
    let q = SCALE *
      select(vec4f(), vec4f(query[i], query[i + 1u], query[i + 2u], query[i + 3u]), valid);
    let k = select(vec4f(), vec4f(key[i], key[i + 1u], key[i + 2u], key[i + 3u]), valid);
    cumulative += select(vec4f(), decay_at(chunk.x + row, head, channel), valid);
    let at = panel + row * shape.key_quads;
    let decayed = exp(cumulative);
    panels[at + QUERY * plane] = q;
    panels[at + KEY * plane] = k;
    panels[at + DECAY * plane] = cumulative;
    panels[at + QUERY_IN * plane] = q * decayed;
    panels[at + KEY_IN * plane] = k * decayed;
  }
  for (var row = 0u; row < shape.chunk; row++) {
    let at = panel + row * shape.key_quads;
    panels[at + KEY_OUT * plane] = panels[at + KEY * plane] *
      exp(cumulative - panels[at + DECAY * plane]);
  }
}
