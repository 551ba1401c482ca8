// The delta rule token by token: S̃ = exp(g) * S, S' = S̃ + β k (v - kᵀ S̃)ᵀ, o = SCALE * qᵀ S'.
// Dispatch: x = batch, y = heads, z = ceil(value_dim / LANES); one invocation a column of the state.

override LANES: u32 = 32u;
override SCALE: f32 = 1.0;
override HAS_DECAY: bool = false;
override PER_CHANNEL: bool = false;

struct Shape {
  time: u32,
  begin: u32, // this dispatch walks [begin, end)
  end: u32,
  heads: u32,
  key_heads: u32,
  key_dim: u32,
  value_dim: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> query: array<f32>; // [batch, time, key_heads, key_dim]
@group(0) @binding(2) var<storage, read> key: array<f32>; // [batch, time, key_heads, key_dim]
@group(0) @binding(3) var<storage, read> value: array<f32>; // [batch, time, heads, value_dim]
@group(0) @binding(4) var<storage, read> beta: array<f32>; // [batch, time, heads]
@group(0) @binding(5) var<storage, read> log_decay: array<f32>; // [batch, time, heads(, key_dim)]
@group(0) @binding(6) var<storage, read_write> output: array<f32>; // [batch, time, heads, value_dim]
@group(0) @binding(7) var<storage, read_write> state: array<f32>; // [batch, heads, key_dim, value_dim]

@compute @workgroup_size(LANES)
fn delta_rule_recurrent(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let column = workgroup.z * LANES + local.x;
  if (column >= shape.value_dim) {
    return;
  }
  let key_head = workgroup.y / (shape.heads / shape.key_heads);
  let s = (workgroup.x * shape.heads + workgroup.y) * shape.key_dim * shape.value_dim + column;
  for (var t = shape.begin; t < shape.end; t++) {
    let row = workgroup.x * shape.time + t;
    let entry = row * shape.heads + workgroup.y;
    let k = (row * shape.key_heads + key_head) * shape.key_dim;
    var decay = 1.0;
    if (HAS_DECAY && !PER_CHANNEL) {
      decay = exp(log_decay[entry]);
    }
    var predicted = 0.0;
    for (var d = 0u; d < shape.key_dim; d++) {
      if (HAS_DECAY && PER_CHANNEL) {
        decay = exp(log_decay[entry * shape.key_dim + d]);
      }
      let decayed = decay * state[s + d * shape.value_dim];
      state[s + d * shape.value_dim] = decayed;
      predicted += key[k + d] * decayed;
    }
    let update = beta[entry] * (value[entry * shape.value_dim + column] - predicted);
    var sum = 0.0;
    for (var d = 0u; d < shape.key_dim; d++) {
      let updated = state[s + d * shape.value_dim] + key[k + d] * update;
      state[s + d * shape.value_dim] = updated;
      sum += query[k + d] * updated;
    }
    output[entry * shape.value_dim + column] = SCALE * sum;
  }
}
