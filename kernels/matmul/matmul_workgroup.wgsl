// Matrix product from workgroup memory: C = op(A) op(B), with op(X) = X or its transpose, to
// which C before (ACCUMULATE) and a bias (HAS_BIAS) may be added.
// A workgroup holds 64 × 64 of C. It brings 16 steps of K of A and B to workgroup memory at a time,
// both with K as the outer axis, and each of its 8 × 16 invocations takes 8 rows (4 from each half)
// and 4 columns from there.
// Dispatch: one workgroup per tile of C and a split of K, column tiles fastest.

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
  tile_of,
};
@if(HAS_SCALES)
import package::matmul::quantized_b::quantized_b;

@group(0) @binding(1) var<storage, read> a: array<ElementA>; // [batches, M, K] or [batches, K, M]
@if(!HAS_SCALES)
@group(0) @binding(2) var<storage, read> b: array<ElementB>; // [batches, K, N] or [batches, N, K]
@if(HAS_BIAS)
@group(0) @binding(3) var<storage, read> bias: array<ElementBias>; // [c_width]
@group(0) @binding(4) var<storage, read_write> c: array<ElementC>; // [splits, batches, M, c_width]

const TILE = 64u; // rows and columns of C
const STEPS = 16u; // of K
const INVOCATIONS = 128u;

var<workgroup> a_tile: array<array<vec4f, TILE / 4u>, STEPS>; // [k, row / 4]
var<workgroup> b_tile: array<array<vec4f, TILE / 4u>, STEPS>; // [k, column / 4]

fn a_at(start: u32, row: u32, k: u32, last: u32) -> f32 {
  if (row >= shape.rows || k >= last) {
    return 0.0;
  }
  return f32(a[start + select(row * shape.reduction + k, k * shape.rows + row, TRANSPOSE_A)]);
}

@if(HAS_SCALES) // and B is transposed: four steps of K
fn b_four(k: u32, column: u32, last: u32) -> vec4f {
  if (column >= shape.columns || k >= last) {
    return vec4f();
  }
  return quantized_b(k, column);
}
@else
fn b_at(start: u32, k: u32, column: u32, last: u32) -> f32 {
  if (column >= shape.columns || k >= last) {
    return 0.0;
  }
  return f32(b[start + select(k * shape.columns + column, column * shape.reduction + k, TRANSPOSE_B)]);
}

fn store_row(start: u32, row: u32, column: u32, value: vec4f) {
  if (row >= shape.rows) {
    return;
  }
  for (var j = 0u; j < 4u && column + j < shape.columns; j++) {
    let i = start + row * shape.c_width + column + j;
    var total = value[j];
    @if(HAS_BIAS)
    total += f32(bias[shape.c_first + column + j]);
    if (ACCUMULATE) {
      total += f32(c[i]);
    }
    c[i] = ElementC(total);
  }
}

@compute @workgroup_size(INVOCATIONS)
fn matmul_workgroup(workgroup: Workgroup, @builtin(local_invocation_index) local: u32) {
  let tile = tile_of(number_of_workgroup(workgroup), TILE, TILE);
  if (tile.matrix >= shape.splits * shape.batches) {
    return;
  }
  let a_start = tile.batch * shape.a_stride;
  let b_start = tile.batch * shape.b_stride;
  let column_group = local % 16u;
  let row_group = local / 16u;

  var upper = mat4x4f(); // a row of C a column
  var lower = mat4x4f();
  for (var k = tile.first; k < tile.last; k += STEPS) {
    // Neighbours take neighbouring rows of the tile, so that they store to different banks.
    for (var i = local; i < STEPS * TILE / 4u; i += INVOCATIONS) {
      let step = i / (TILE / 4u);
      let group = i % (TILE / 4u);
      let row = tile.row + group * 4u;
      let column = tile.column + group * 4u;
      a_tile[step][group] = vec4f(
        a_at(a_start, row, k + step, tile.last),
        a_at(a_start, row + 1u, k + step, tile.last),
        a_at(a_start, row + 2u, k + step, tile.last),
        a_at(a_start, row + 3u, k + step, tile.last),
      );
      @if(!HAS_SCALES) {
        b_tile[step][group] = vec4f(
          b_at(b_start, k + step, column, tile.last),
          b_at(b_start, k + step, column + 1u, tile.last),
          b_at(b_start, k + step, column + 2u, tile.last),
          b_at(b_start, k + step, column + 3u, tile.last),
        );
      }
    }
    @if(HAS_SCALES) {
      // A word holds steps of K of one column: an invocation takes four of four.
      for (var i = local; i < STEPS * TILE / 16u; i += INVOCATIONS) {
        let step = i / (TILE / 4u) * 4u;
        let group = i % (TILE / 4u);
        let column = tile.column + group * 4u;
        let steps = transpose(mat4x4f(
          b_four(k + step, column, tile.last),
          b_four(k + step, column + 1u, tile.last),
          b_four(k + step, column + 2u, tile.last),
          b_four(k + step, column + 3u, tile.last),
        ));
        b_tile[step][group] = steps[0];
        b_tile[step + 1u][group] = steps[1];
        b_tile[step + 2u][group] = steps[2];
        b_tile[step + 3u][group] = steps[3];
      }
    }
    workgroupBarrier();
    for (var step = 0u; step < STEPS; step++) {
      let b_row = b_tile[step][column_group];
      let a_upper = a_tile[step][row_group];
      let a_lower = a_tile[step][row_group + 8u];
      upper[0] = fma(a_upper.xxxx, b_row, upper[0]);
      upper[1] = fma(a_upper.yyyy, b_row, upper[1]);
      upper[2] = fma(a_upper.zzzz, b_row, upper[2]);
      upper[3] = fma(a_upper.wwww, b_row, upper[3]);
      lower[0] = fma(a_lower.xxxx, b_row, lower[0]);
      lower[1] = fma(a_lower.yyyy, b_row, lower[1]);
      lower[2] = fma(a_lower.zzzz, b_row, lower[2]);
      lower[3] = fma(a_lower.wwww, b_row, lower[3]);
    }
    workgroupBarrier();
  }

  let c_start = tile.matrix * shape.rows * shape.c_width + shape.c_first;
  let row = tile.row + row_group * 4u;
  let column = tile.column + column_group * 4u;
  store_row(c_start, row, column, upper[0]);
  store_row(c_start, row + 1u, column, upper[1]);
  store_row(c_start, row + 2u, column, upper[2]);
  store_row(c_start, row + 3u, column, upper[3]);
  store_row(c_start, row + 32u, column, lower[0]);
  store_row(c_start, row + 33u, column, lower[1]);
  store_row(c_start, row + 34u, column, lower[2]);
  store_row(c_start, row + 35u, column, lower[3]);
}
