// Matrix product for few rows of A (one token's vector times a weight): C = op(A) op(B), with
// op(X) = X or its transpose; where told, + C before, + bias.
// B is read once and does not come back, so what counts is that neighbours read neighbours: where B
// is [K, N], neighbouring invocations take neighbouring columns; where it is [N, K], neighbouring
// steps of K. LANES invocations share a column, and their sums meet in workgroup memory.
// Dispatch: COLUMNS columns of a row of C a workgroup, column groups fastest.

override COLUMNS: u32 = 64u;
override LANES: u32 = 1u; // a power of two
override TRANSPOSE_A: bool = false;
override TRANSPOSE_B: bool = false;
override ACCUMULATE: bool = false;
override HAS_BIAS: bool = false;

struct Shape {
  batches: u32,
  rows: u32, // M
  columns: u32, // N
  reduction: u32, // K
  a_stride: u32, // from one matrix to the next; 0 where all batches share it
  b_stride: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> a: array<f32>; // [batches, M, K] or [batches, K, M]
@group(0) @binding(2) var<storage, read> b: array<f32>; // [batches, K, N] or [batches, N, K]
@group(0) @binding(3) var<storage, read> bias: array<f32>; // [N]
@group(0) @binding(4) var<storage, read_write> c: array<f32>; // [batches, M, N]

var<workgroup> partial: array<f32, COLUMNS * LANES>;

@compute @workgroup_size(COLUMNS * LANES)
fn matmul_vector(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let groups = (shape.columns + COLUMNS - 1u) / COLUMNS;
  let group = workgroup.x + workgroup.y * workgroups.x;
  let row = group / groups % shape.rows;
  let batch = group / (groups * shape.rows);
  if (batch >= shape.batches) {
    return;
  }
  let lane = select(local / COLUMNS, local % LANES, TRANSPOSE_B);
  let local_column = select(local % COLUMNS, local / LANES, TRANSPOSE_B);
  let column = group % groups * COLUMNS + local_column;
  let valid = column < shape.columns;

  let a_step = select(1u, shape.rows, TRANSPOSE_A);
  let b_step = select(shape.columns, 1u, TRANSPOSE_B);
  let a_start = batch * shape.a_stride + row * select(shape.reduction, 1u, TRANSPOSE_A);
  let b_start = batch * shape.b_stride +
    select(0u, column * select(1u, shape.reduction, TRANSPOSE_B), valid);
  var sums = vec4f();
  var k = lane;
  for (; k + 3u * LANES < shape.reduction; k += 4u * LANES) {
    let ks = k + vec4u(0u, LANES, 2u * LANES, 3u * LANES);
    let at = a_start + ks * a_step;
    let bt = b_start + ks * b_step;
    sums = fma(vec4f(a[at.x], a[at.y], a[at.z], a[at.w]), vec4f(b[bt.x], b[bt.y], b[bt.z], b[bt.w]), sums);
  }
  for (; k < shape.reduction; k += LANES) {
    sums.x = fma(a[a_start + k * a_step], b[b_start + k * b_step], sums.x);
  }

  let slot = local_column * LANES + lane;
  partial[slot] = (sums.x + sums.y) + (sums.z + sums.w);
  for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (lane < stride) {
      partial[slot] += partial[slot + stride];
    }
  }
  if (!valid || lane > 0u) {
    return;
  }
  let i = (batch * shape.rows + row) * shape.columns + column;
  var total = partial[slot];
  if (HAS_BIAS) {
    total += bias[column];
  }
  if (ACCUMULATE) {
    total += c[i];
  }
  c[i] = total;
}
