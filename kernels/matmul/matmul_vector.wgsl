// Matrix product for few rows of A (a token's vector times a weight): C = op(A) op(B), with op(X) = X
// or its transpose, to which C before (ACCUMULATE), a bias (HAS_BIAS) and another matrix (HAS_ADDEND) may
// be added.
// B is read once and not used again, so what counts is that neighbours read neighbours. An invocation
// takes four columns of a row of C, in steps of four of K; GROUPS × LANES of them make a workgroup.
// Where B is [K, N], neighbours take neighbouring columns; where it is [N, K], neighbouring steps of
// K. The LANES that share columns add their sums up in workgroup memory.
// Dispatch: one workgroup per 4 * GROUPS columns of a row of C, column groups fastest.

import package::common::workgroups::{Workgroup, number_of_workgroup};
import package::matmul::product::{
  ACCUMULATE,
  ElementA,
  ElementB,
  ElementBias,
  ElementC,
  shape,
  TRANSPOSE_A,
  TRANSPOSE_B,
};
@if(HAS_SCALES)
import package::matmul::quantized_b::quantized_b;

override GROUPS: u32 = 8u;
override LANES: u32 = 1u; // a power of two

@group(0) @binding(1) var<storage, read> a: array<ElementA>; // [batches, M, K] or [batches, K, M]
@if(!HAS_SCALES && ALIGNED) // N and K are multiples of 4
@group(0) @binding(2) var<storage, read> b: array<vec4<ElementB>>; // [batches, K, N] or [batches, N, K]
@elif(!HAS_SCALES)
@group(0) @binding(2) var<storage, read> b: array<ElementB>; // [batches, K, N] or [batches, N, K]
@if(HAS_BIAS)
@group(0) @binding(3) var<storage, read> bias: array<ElementBias>; // [c_width]
@group(0) @binding(4) var<storage, read_write> c: array<ElementC>; // [batches, M, c_width]
@if(HAS_ADDEND)
@group(0) @binding(6) var<storage, read> addend: array<f32>; // [batches, M, c_width]

var<workgroup> partial: array<vec4f, GROUPS * LANES>;

// 0 past the end of a row, so that the last step of K needs no loop of its own.
fn a_at(start: u32, row: u32, k: u32) -> f32 {
  if (k >= shape.reduction) {
    return 0.0;
  }
  return f32(a[start + select(row * shape.reduction + k, k * shape.rows + row, TRANSPOSE_A)]);
}

@if(!HAS_SCALES && !ALIGNED)
fn b_at(start: u32, k: u32, column: u32) -> f32 {
  if (k >= shape.reduction || column >= shape.columns) {
    return 0.0;
  }
  return f32(b[start + select(k * shape.columns + column, column * shape.reduction + k, TRANSPOSE_B)]);
}

// Four columns of op(B) at a step of K; or, where B is transposed, four steps of K of a column.
@if(HAS_SCALES) // and B is transposed
fn b_four(_start: u32, k: u32, column: u32) -> vec4f {
  return quantized_b(k, min(column, shape.columns - 1u));
}
@elif(ALIGNED)
fn b_four(start: u32, k: u32, column: u32) -> vec4f {
  if (TRANSPOSE_B) {
    return vec4f(b[(start + min(column, shape.columns - 1u) * shape.reduction + k) / 4u]);
  }
  return vec4f(b[(start + k * shape.columns + min(column, shape.columns - 4u)) / 4u]);
}
@else
fn b_four(start: u32, k: u32, column: u32) -> vec4f {
  if (TRANSPOSE_B) {
    return vec4f(
      b_at(start, k, column),
      b_at(start, k + 1u, column),
      b_at(start, k + 2u, column),
      b_at(start, k + 3u, column),
    );
  }
  return vec4f(
    b_at(start, k, column),
    b_at(start, k, column + 1u),
    b_at(start, k, column + 2u),
    b_at(start, k, column + 3u),
  );
}

@compute @workgroup_size(GROUPS * LANES)
fn matmul_vector(workgroup: Workgroup, @builtin(local_invocation_index) local: u32) {
  let row_workgroups = (shape.columns + 4u * GROUPS - 1u) / (4u * GROUPS);
  let index = number_of_workgroup(workgroup);
  let row = index / row_workgroups % shape.rows;
  let batch = index / (row_workgroups * shape.rows);
  if (batch >= shape.batches) {
    return;
  }
  let lane = select(local / GROUPS, local % LANES, TRANSPOSE_B);
  let group = select(local % GROUPS, local / LANES, TRANSPOSE_B);
  let column = (index % row_workgroups * GROUPS + group) * 4u;

  let a_start = batch * shape.a_stride;
  let b_start = batch * shape.b_stride;
  var sums = mat4x4f(); // where B is transposed: a column of C each, by k % 4
  for (var k = 4u * lane; k < shape.reduction; k += 4u * LANES) {
    let a_row = vec4f(
      a_at(a_start, row, k),
      a_at(a_start, row, k + 1u),
      a_at(a_start, row, k + 2u),
      a_at(a_start, row, k + 3u),
    );
    if (TRANSPOSE_B) {
      sums[0] = fma(a_row, b_four(b_start, k, column), sums[0]);
      sums[1] = fma(a_row, b_four(b_start, k, column + 1u), sums[1]);
      sums[2] = fma(a_row, b_four(b_start, k, column + 2u), sums[2]);
      sums[3] = fma(a_row, b_four(b_start, k, column + 3u), sums[3]);
    } else {
      sums[0] = fma(a_row.xxxx, b_four(b_start, k, column), sums[0]);
      sums[1] = fma(a_row.yyyy, b_four(b_start, k + 1u, column), sums[1]);
      sums[2] = fma(a_row.zzzz, b_four(b_start, k + 2u, column), sums[2]);
      sums[3] = fma(a_row.wwww, b_four(b_start, k + 3u, column), sums[3]);
    }
  }
  if (TRANSPOSE_B) {
    sums = transpose(sums);
  }
  var total = (sums[0] + sums[1]) + (sums[2] + sums[3]);

  if (LANES > 1u) {
    let slot = group * LANES + lane;
    partial[slot] = total;
    for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
      workgroupBarrier();
      if (lane < stride) {
        partial[slot] += partial[slot + stride];
      }
    }
    total = partial[slot];
  }
  if (lane > 0u) {
    return;
  }
  for (var j = 0u; j < 4u && column + j < shape.columns; j++) {
    let i = (batch * shape.rows + row) * shape.c_width + shape.c_first + column + j;
    var value = total[j];
    @if(HAS_BIAS)
    value += f32(bias[shape.c_first + column + j]);
    @if(HAS_ADDEND)
    value += addend[i];
    if (ACCUMULATE) {
      value += f32(c[i]);
    }
    c[i] = ElementC(value);
  }
}
