// Sums partial gradients, BLOCK blocks at a time: total = sum over blocks of partial.
// Dispatch: x = ceil(blocks / BLOCK), y = ceil(columns / LANES); one invocation a column.
// Columns are counted in Elements.

import package::norm::element::Element;

override LANES: u32 = 64u;
override BLOCK: u32 = 64u;

struct Shape {
  blocks: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> partial: array<Element>; // [blocks, columns]
@group(0) @binding(2) var<storage, read_write> total: array<Element>; // [ceil(blocks / BLOCK), columns]

@compute @workgroup_size(LANES)
fn sum_blocks(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let column = workgroup.y * LANES + local.x;
  if (column >= shape.columns) {
    return;
  }
  var sum = Element();
  let last = min((workgroup.x + 1u) * BLOCK, shape.blocks);
  for (var block = workgroup.x * BLOCK; block < last; block++) {
    sum += partial[block * shape.columns + column];
  }
  total[workgroup.x * shape.columns + column] = sum;
}
