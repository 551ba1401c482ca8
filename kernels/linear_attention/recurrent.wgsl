// Token by token: state = exp(g) * state + key valueᵀ, output = scale * query state; with BONUS
// output = scale * query (state before the token + (bonus * key) valueᵀ).
// Dispatch: one invocation per sequence, head, tile of 16 keys and 4 values, which walks the whole
// sequence with its tile of the state in registers. Outputs of the key tiles are summed afterwards.

override WORKGROUP_SIZE: u32 = 8u;
override DECAY: u32 = 2u; // 0 none, 1 per head, 2 per key
override BONUS: bool = false;

struct Shape {
  sequences: u32,
  heads: u32,
  groups: u32,
  key_vectors: u32,
  value_vectors: u32,
  tiles: u32, // of 16 keys
  rows: u32,
  has_initial: u32, // 0 or 1
  scale: u32, // the bits of an f32
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> bounds: array<u32>; // [sequences + 1]: first rows
@group(0) @binding(2) var<storage, read> query: array<vec4f>; // [rows, groups, key_vectors]
@group(0) @binding(3) var<storage, read> key: array<vec4f>; // [rows, groups, key_vectors]
@group(0) @binding(4) var<storage, read> value: array<vec4f>; // [rows, heads, value_vectors]
@group(0) @binding(5) var<storage, read> log_decay: array<vec4f>; // [rows, heads, (keys)]
@group(0) @binding(6) var<storage, read> bonus: array<vec4f>; // [heads, key_vectors]
@group(0) @binding(7) var<storage, read_write> partial: array<vec4f>; // [tiles, rows, heads, value_vectors]
@group(0) @binding(8) var<storage, read_write> state: array<vec4f>; // [sequences, heads, keys, value_vectors]: initial, then final

@compute @workgroup_size(WORKGROUP_SIZE)
fn recurrent(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local.x;
  let column = index % shape.value_vectors;
  let tile = index / shape.value_vectors % shape.tiles;
  let head = index / (shape.value_vectors * shape.tiles) % shape.heads;
  let sequence = index / (shape.value_vectors * shape.tiles * shape.heads);
  if (sequence >= shape.sequences) {
    return;
  }
  let group = head / (shape.heads / shape.groups);
  // Vectors of keys past the last are read as the last and count as 0.
  let vector = tile * 4u + vec4u(0u, 1u, 2u, 3u);
  let inside = vector < vec4u(shape.key_vectors);
  let at = min(vector, vec4u(shape.key_vectors - 1u));
  let cell = ((sequence * shape.heads + head) * shape.key_vectors * 4u + tile * 16u) *
    shape.value_vectors + column;
  var u0 = vec4f();
  var u1 = vec4f();
  var u2 = vec4f();
  var u3 = vec4f();
  if (BONUS) {
    u0 = bonus[head * shape.key_vectors + at.x];
    u1 = bonus[head * shape.key_vectors + at.y];
    u2 = bonus[head * shape.key_vectors + at.z];
    u3 = bonus[head * shape.key_vectors + at.w];
  }
  var s0 = vec4f();
  var s1 = vec4f();
  var s2 = vec4f();
  var s3 = vec4f();
  var s4 = vec4f();
  var s5 = vec4f();
  var s6 = vec4f();
  var s7 = vec4f();
  var s8 = vec4f();
  var s9 = vec4f();
  var s10 = vec4f();
  var s11 = vec4f();
  var s12 = vec4f();
  var s13 = vec4f();
  var s14 = vec4f();
  var s15 = vec4f();
  if (shape.has_initial == 1u && inside.x) {
    s0 = state[cell + 0u * shape.value_vectors];
    s1 = state[cell + 1u * shape.value_vectors];
    s2 = state[cell + 2u * shape.value_vectors];
    s3 = state[cell + 3u * shape.value_vectors];
  }
  if (shape.has_initial == 1u && inside.y) {
    s4 = state[cell + 4u * shape.value_vectors];
    s5 = state[cell + 5u * shape.value_vectors];
    s6 = state[cell + 6u * shape.value_vectors];
    s7 = state[cell + 7u * shape.value_vectors];
  }
  if (shape.has_initial == 1u && inside.z) {
    s8 = state[cell + 8u * shape.value_vectors];
    s9 = state[cell + 9u * shape.value_vectors];
    s10 = state[cell + 10u * shape.value_vectors];
    s11 = state[cell + 11u * shape.value_vectors];
  }
  if (shape.has_initial == 1u && inside.w) {
    s12 = state[cell + 12u * shape.value_vectors];
    s13 = state[cell + 13u * shape.value_vectors];
    s14 = state[cell + 14u * shape.value_vectors];
    s15 = state[cell + 15u * shape.value_vectors];
  }
  let end = bounds[sequence + 1u];
  for (var row = bounds[sequence]; row < end; row++) {
    let source = (row * shape.groups + group) * shape.key_vectors;
    let cell_row = row * shape.heads + head;
    let q0 = query[source + at.x];
    let k0 = select(vec4f(), key[source + at.x], inside.x);
    let q1 = query[source + at.y];
    let k1 = select(vec4f(), key[source + at.y], inside.y);
    let q2 = query[source + at.z];
    let k2 = select(vec4f(), key[source + at.z], inside.z);
    let q3 = query[source + at.w];
    let k3 = select(vec4f(), key[source + at.w], inside.w);
    let v = value[cell_row * shape.value_vectors + column];
    var d0 = vec4f(1.0);
    var d1 = vec4f(1.0);
    var d2 = vec4f(1.0);
    var d3 = vec4f(1.0);
    if (DECAY == 1u) {
      let decay = vec4f(exp(log_decay[cell_row / 4u][cell_row % 4u]));
      d0 = decay;
      d1 = decay;
      d2 = decay;
      d3 = decay;
    } else if (DECAY == 2u) {
      d0 = exp(log_decay[cell_row * shape.key_vectors + at.x]);
      d1 = exp(log_decay[cell_row * shape.key_vectors + at.y]);
      d2 = exp(log_decay[cell_row * shape.key_vectors + at.z]);
      d3 = exp(log_decay[cell_row * shape.key_vectors + at.w]);
    }
    var sum = vec4f();
    if (BONUS) {
      sum += q0.x * (s0 + u0.x * k0.x * v);
      sum += q0.y * (s1 + u0.y * k0.y * v);
      sum += q0.z * (s2 + u0.z * k0.z * v);
      sum += q0.w * (s3 + u0.w * k0.w * v);
      sum += q1.x * (s4 + u1.x * k1.x * v);
      sum += q1.y * (s5 + u1.y * k1.y * v);
      sum += q1.z * (s6 + u1.z * k1.z * v);
      sum += q1.w * (s7 + u1.w * k1.w * v);
      sum += q2.x * (s8 + u2.x * k2.x * v);
      sum += q2.y * (s9 + u2.y * k2.y * v);
      sum += q2.z * (s10 + u2.z * k2.z * v);
      sum += q2.w * (s11 + u2.w * k2.w * v);
      sum += q3.x * (s12 + u3.x * k3.x * v);
      sum += q3.y * (s13 + u3.y * k3.y * v);
      sum += q3.z * (s14 + u3.z * k3.z * v);
      sum += q3.w * (s15 + u3.w * k3.w * v);
    }
    s0 = d0.x * s0 + k0.x * v;
    s1 = d0.y * s1 + k0.y * v;
    s2 = d0.z * s2 + k0.z * v;
    s3 = d0.w * s3 + k0.w * v;
    s4 = d1.x * s4 + k1.x * v;
    s5 = d1.y * s5 + k1.y * v;
    s6 = d1.z * s6 + k1.z * v;
    s7 = d1.w * s7 + k1.w * v;
    s8 = d2.x * s8 + k2.x * v;
    s9 = d2.y * s9 + k2.y * v;
    s10 = d2.z * s10 + k2.z * v;
    s11 = d2.w * s11 + k2.w * v;
    s12 = d3.x * s12 + k3.x * v;
    s13 = d3.y * s13 + k3.y * v;
    s14 = d3.z * s14 + k3.z * v;
    s15 = d3.w * s15 + k3.w * v;
    if (!BONUS) {
      sum += q0.x * s0;
      sum += q0.y * s1;
      sum += q0.z * s2;
      sum += q0.w * s3;
      sum += q1.x * s4;
      sum += q1.y * s5;
      sum += q1.z * s6;
      sum += q1.w * s7;
      sum += q2.x * s8;
      sum += q2.y * s9;
      sum += q2.z * s10;
      sum += q2.w * s11;
      sum += q3.x * s12;
      sum += q3.y * s13;
      sum += q3.z * s14;
      sum += q3.w * s15;
    }
    partial[(tile * shape.rows * shape.heads + cell_row) * shape.value_vectors + column] =
      bitcast<f32>(shape.scale) * sum;
  }
  if (inside.x) {
    state[cell + 0u * shape.value_vectors] = s0;
    state[cell + 1u * shape.value_vectors] = s1;
    state[cell + 2u * shape.value_vectors] = s2;
    state[cell + 3u * shape.value_vectors] = s3;
  }
  if (inside.y) {
    state[cell + 4u * shape.value_vectors] = s4;
    state[cell + 5u * shape.value_vectors] = s5;
    state[cell + 6u * shape.value_vectors] = s6;
    state[cell + 7u * shape.value_vectors] = s7;
  }
  if (inside.z) {
    state[cell + 8u * shape.value_vectors] = s8;
    state[cell + 9u * shape.value_vectors] = s9;
    state[cell + 10u * shape.value_vectors] = s10;
    state[cell + 11u * shape.value_vectors] = s11;
  }
  if (inside.w) {
    state[cell + 12u * shape.value_vectors] = s12;
    state[cell + 13u * shape.value_vectors] = s13;
    state[cell + 14u * shape.value_vectors] = s14;
    state[cell + 15u * shape.value_vectors] = s15;
  }
}
