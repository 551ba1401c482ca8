// Sums partial gradients over all blocks: total = sum over blocks of partial.
// Dispatch: one invocation a column.

override WORKGROUP_SIZE: u32 = 64u;

struct Shape {
  blocks: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> partial: array<f32>; // [blocks, columns]
@group(0) @binding(2) var<storage, read_write> total: array<f32>; // [columns]

@compute @workgroup_size(WORKGROUP_SIZE)
fn sum_blocks(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let column = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local;
  if (column >= shape.columns) {
    return;
  }
  var sum = 0.0;
  for (var block = 0u; block < shape.blocks; block++) {
    sum += partial[block * shape.columns + column];
  }
  total[column] = sum;
}
