// Copies rows into rows of another length: longer ones end in zeros, shorter ones lose their end.
// Dispatch: x = ceil(rows * new_columns / LANES), folded; one invocation an element written.

override LANES: u32 = 64u;

alias Element = f32; // or f16

struct Resize {
  rows: u32,
  columns: u32,
  new_columns: u32,
}

@group(0) @binding(0) var<uniform> shape: Resize;
@group(0) @binding(1) var<storage, read> x: array<Element>; // [rows, columns]
@group(0) @binding(2) var<storage, read_write> y: array<Element>; // [rows, new_columns]

@compute @workgroup_size(LANES)
fn resize_rows(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * LANES + local.x;
  let row = index / shape.new_columns;
  let column = index % shape.new_columns;
  if (row >= shape.rows) {
    return;
  }
  var element = Element();
  if (column < shape.columns) {
    element = x[row * shape.columns + column];
  }
  y[index] = element;
}
