// Sums the partial gradients of b and c over the blocks of channels.
// Dispatch: one invocation per batch element, step and one of 32: sixteen states of b, sixteen of c.

override WORKGROUP_SIZE: u32 = 64u;

struct Shape {
  rows: u32, // batch * time
  state: u32,
  first_state: u32,
  blocks: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> partial: array<f32>; // [blocks, rows, 32]
@group(0) @binding(2) var<storage, read_write> b_gradient: array<f32>; // [rows, state]
@group(0) @binding(3) var<storage, read_write> c_gradient: array<f32>; // [rows, state]

@compute @workgroup_size(WORKGROUP_SIZE)
fn selective_scan_shared_sum(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local;
  let state = shape.first_state + index % 16u;
  if (index >= shape.rows * 32u || state >= shape.state) {
    return;
  }
  var sum = 0.0;
  for (var block = 0u; block < shape.blocks; block++) {
    sum += partial[block * shape.rows * 32u + index];
  }
  let at = index / 32u * shape.state + state;
  if (index % 32u < 16u) {
    b_gradient[at] = sum;
  } else {
    c_gradient[at] = sum;
  }
}
