// RWKV-7 token by token: S' = exp(w) * S + b (aᵀ S) + k vᵀ, o = SCALE * rᵀ S'.
// Dispatch: x = batch, y = heads, z = ceil(value_dim / LANES); one invocation a column of the state.

override LANES: u32 = 32u;
override SCALE: f32 = 1.0;

struct Shape {
  time: u32,
  begin: u32, // this dispatch walks [begin, end)
  end: u32,
  heads: u32,
  key_heads: u32, // as many
  key_dim: u32,
  value_dim: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> receptance: array<f32>; // [batch, time, heads, key_dim]
@group(0) @binding(2) var<storage, read> log_decay: array<f32>; // [batch, time, heads, key_dim]
@group(0) @binding(3) var<storage, read> key: array<f32>; // [batch, time, heads, key_dim]
@group(0) @binding(4) var<storage, read> value: array<f32>; // [batch, time, heads, value_dim]
@group(0) @binding(5) var<storage, read> a: array<f32>; // [batch, time, heads, key_dim]
@group(0) @binding(6) var<storage, read> b: array<f32>; // [batch, time, heads, key_dim]
@group(0) @binding(7) var<storage, read_write> output: array<f32>; // [batch, time, heads, value_dim]
@group(0) @binding(8) var<storage, read_write> state: array<f32>; // [batch, heads, key_dim, value_dim]

@compute @workgroup_size(LANES)
fn rwkv7_recurrent(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let column = workgroup.z * LANES + local.x;
  if (column >= shape.value_dim) {
    return;
  }
  let s = (workgroup.x * shape.heads + workgroup.y) * shape.key_dim * shape.value_dim + column;
  for (var t = shape.begin; t < shape.end; t++) {
    let entry = (workgroup.x * shape.time + t) * shape.heads + workgroup.y;
    let k = entry * shape.key_dim;
    var seen = 0.0;
    for (var d = 0u; d < shape.key_dim; d++) {
      seen += a[k + d] * state[s + d * shape.value_dim];
    }
    let v = value[entry * shape.value_dim + column];
    var sum = 0.0;
    for (var d = 0u; d < shape.key_dim; d++) {
      let updated = exp(log_decay[k + d]) * state[s + d * shape.value_dim] + b[k + d] * seen +
        key[k + d] * v;
      state[s + d * shape.value_dim] = updated;
      sum += receptance[k + d] * updated;
    }
    output[entry * shape.value_dim + column] = SCALE * sum;
  }
}
