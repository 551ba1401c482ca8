// One log decay a head: its gradient is the sum over key channels.
// Dispatch: ceil(rows * heads / WORKGROUP_SIZE); one invocation an entry.

override WORKGROUP_SIZE: u32 = 64u;

struct Shape {
  entries: u32, // rows * heads
  key_dim: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> by_channel: array<f32>; // [entries, key_dim]
@group(0) @binding(2) var<storage, read_write> log_decay_gradient: array<f32>; // [entries]

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_sum_channels(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let entry = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local.x;
  if (entry >= shape.entries) {
    return;
  }
  var sum = 0.0;
  for (var d = 0u; d < shape.key_dim; d++) {
    sum += by_channel[entry * shape.key_dim + d];
  }
  log_decay_gradient[entry] = sum;
}
