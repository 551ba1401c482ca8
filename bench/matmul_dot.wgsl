// The plain matrix product that others are held against: C = A B, one dot product an invocation.
// Dispatch: one invocation per element of C.

override WORKGROUP_SIZE: u32 = 64u;

struct Shape {
  rows: u32, // M
  columns: u32, // N
  reduction: u32, // K
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> a: array<f32>; // [M, K]
@group(0) @binding(2) var<storage, read> b: array<f32>; // [K, N]
@group(0) @binding(3) var<storage, read_write> c: array<f32>; // [M, N]

@compute @workgroup_size(WORKGROUP_SIZE)
fn matmul_dot(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x / shape.columns;
  let column = id.x % shape.columns;
  if (row >= shape.rows) {
    return;
  }
  var sum = 0.0;
  for (var k = 0u; k < shape.reduction; k++) {
    sum += a[row * shape.reduction + k] * b[k * shape.columns + column];
  }
  c[id.x] = sum;
}
