// Sums partial gradients, BLOCKS blocks at a time: total = sum over blocks of partial.
// Dispatch: one invocation a part of BLOCKS blocks and column, in that order.

override WORKGROUP_SIZE: u32 = 64u;
override BLOCKS: u32 = 4096u;

struct Shape {
  blocks: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> partial: array<f32>; // [blocks, columns]
@group(0) @binding(2) var<storage, read_write> total: array<f32>; // [ceil(blocks / BLOCKS), columns]

@compute @workgroup_size(WORKGROUP_SIZE)
fn sum_blocks(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local;
  let column = index % shape.columns;
  let first = index / shape.columns * BLOCKS;
  if (first >= max(shape.blocks, 1u)) {
    return;
  }
  let last = min(first + BLOCKS, shape.blocks);
  var sum = 0.0;
  for (var block = first; block < last; block++) {
    sum += partial[block * shape.columns + column];
  }
  total[index] = sum;
}
