// Matrix product from workgroup memory: C = op(A) op(B), with op(X) = X or its transpose, to
// which C before (ACCUMULATE), a bias (HAS_BIAS) and another matrix (HAS_ADDEND) may be added.
// A workgroup of DOWN × ACROSS invocations holds a tile of C. It brings STEPS steps of K of A and B to
// workgroup memory at a time, both with K as the outer axis, and each invocation takes ROW_FOURS fours of
// rows and COLUMN_FOURS fours of columns from there, in registers.
// What lies side by side in storage is read as vec4s, neighbours by neighbours; where that is K, an
// invocation reads four rows of it and turns them.
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

@if(ALIGNED_A) // the axis that lies side by side is a multiple of 4
@group(0) @binding(1) var<storage, read> a: array<vec4<ElementA>>; // [batches, M, K] or [batches, K, M]
@else
@group(0) @binding(1) var<storage, read> a: array<ElementA>; // [batches, M, K] or [batches, K, M]
@if(!HAS_SCALES && ALIGNED_B)
@group(0) @binding(2) var<storage, read> b: array<vec4<ElementB>>; // [batches, K, N] or [batches, N, K]
@elif(!HAS_SCALES)
@group(0) @binding(2) var<storage, read> b: array<ElementB>; // [batches, K, N] or [batches, N, K]
@if(HAS_BIAS)
@group(0) @binding(3) var<storage, read> bias: array<ElementBias>; // [c_width]
@group(0) @binding(4) var<storage, read_write> c: array<ElementC>; // [splits, batches, M, c_width]
@if(HAS_ADDEND)
@group(0) @binding(6) var<storage, read> addend: array<f32>; // [batches, M, c_width]

@link const ROW_FOURS: u32 = 2u; // of an invocation
@link const COLUMN_FOURS: u32 = 2u;
@link const DOWN: u32 = 8u; // invocations along a column of C
@link const ACROSS: u32 = 8u; // and along a row
@link const STEPS: u32 = 16u; // of K; a multiple of 4

const ROWS = 4u * ROW_FOURS * DOWN; // of a tile
const COLUMNS = 4u * COLUMN_FOURS * ACROSS;
const INVOCATIONS = DOWN * ACROSS;
const A_STRIDE = ROWS / 4u + 1u; // one more puts the steps of a turned block in different banks
const B_STRIDE = COLUMNS / 4u + 1u;

var<workgroup> a_tile: array<vec4f, STEPS * A_STRIDE>; // [k, row / 4]
var<workgroup> b_tile: array<vec4f, STEPS * B_STRIDE>; // [k, column / 4]

// Four elements of A that lie side by side, from (outer, inner) on; 0 past the ends.
fn a_four(start: u32, outer: u32, inner: u32, outers: u32, inners: u32, width: u32) -> vec4f {
  if (outer >= outers || inner >= inners) {
    return vec4f();
  }
  let at = start + outer * width + inner;
  @if(ALIGNED_A)
  return vec4f(a[at / 4u]);
  @else {
    var four = vec4f(f32(a[at]), 0.0, 0.0, 0.0);
    if (inner + 1u < inners) { four.y = f32(a[at + 1u]); }
    if (inner + 2u < inners) { four.z = f32(a[at + 2u]); }
    if (inner + 3u < inners) { four.w = f32(a[at + 3u]); }
    return four;
  }
}

@if(!HAS_SCALES)
fn b_four(start: u32, outer: u32, inner: u32, outers: u32, inners: u32, width: u32) -> vec4f {
  if (outer >= outers || inner >= inners) {
    return vec4f();
  }
  let at = start + outer * width + inner;
  @if(ALIGNED_B)
  return vec4f(b[at / 4u]);
  @else {
    var four = vec4f(f32(b[at]), 0.0, 0.0, 0.0);
    if (inner + 1u < inners) { four.y = f32(b[at + 1u]); }
    if (inner + 2u < inners) { four.z = f32(b[at + 2u]); }
    if (inner + 3u < inners) { four.w = f32(b[at + 3u]); }
    return four;
  }
}

// Four steps of K of a column of Bᵀ.
fn turned_b(start: u32, column: u32, k: u32, last: u32) -> vec4f {
  @if(HAS_SCALES) {
    if (column >= shape.columns || k >= last) {
      return vec4f();
    }
    return quantized_b(k, column);
  }
  @else
  return b_four(start, column, k, shape.columns, last, shape.reduction);
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
    @if(HAS_ADDEND)
    total += addend[i];
    if (ACCUMULATE) {
      total += f32(c[i]);
    }
    c[i] = ElementC(total);
  }
}

@compute @workgroup_size(INVOCATIONS)
fn matmul_workgroup(workgroup: Workgroup, @builtin(local_invocation_index) local: u32) {
  let tile = tile_of(number_of_workgroup(workgroup), ROWS, COLUMNS);
  if (tile.matrix >= shape.splits * shape.batches) {
    return;
  }
  let a_start = tile.batch * shape.a_stride;
  let b_start = tile.batch * shape.b_stride;
  let across = local % ACROSS;
  let down = local / ACROSS;

  var sums: array<mat4x4f, ROW_FOURS * COLUMN_FOURS>; // a row of C a column
  for (var k = tile.first; k < tile.last; k += STEPS) {
    if (TRANSPOSE_A) {
      for (var i = local; i < STEPS * ROWS / 4u; i += INVOCATIONS) {
        let step = i / (ROWS / 4u);
        let four = i % (ROWS / 4u);
        let row = tile.row + four * 4u;
        a_tile[step * A_STRIDE + four] =
          a_four(a_start, k + step, row, tile.last, shape.rows, shape.rows);
      }
    } else {
      for (var i = local; i < STEPS / 4u * ROWS / 4u; i += INVOCATIONS) {
        let step = i % (STEPS / 4u) * 4u;
        let four = i / (STEPS / 4u);
        let row = tile.row + four * 4u;
        let turned = transpose(mat4x4f(
          a_four(a_start, row, k + step, shape.rows, tile.last, shape.reduction),
          a_four(a_start, row + 1u, k + step, shape.rows, tile.last, shape.reduction),
          a_four(a_start, row + 2u, k + step, shape.rows, tile.last, shape.reduction),
          a_four(a_start, row + 3u, k + step, shape.rows, tile.last, shape.reduction),
        ));
        @unroll for (var j = 0u; j < 4u; j++) {
          a_tile[(step + j) * A_STRIDE + four] = turned[j];
        }
      }
    }
    @if(!HAS_SCALES)
    if (!TRANSPOSE_B) {
      for (var i = local; i < STEPS * COLUMNS / 4u; i += INVOCATIONS) {
        let step = i / (COLUMNS / 4u);
        let four = i % (COLUMNS / 4u);
        let column = tile.column + four * 4u;
        b_tile[step * B_STRIDE + four] =
          b_four(b_start, k + step, column, tile.last, shape.columns, shape.columns);
      }
    }
    if (TRANSPOSE_B) {
      for (var i = local; i < STEPS / 4u * COLUMNS / 4u; i += INVOCATIONS) {
        let step = i % (STEPS / 4u) * 4u;
        let four = i / (STEPS / 4u);
        let column = tile.column + four * 4u;
        let turned = transpose(mat4x4f(
          turned_b(b_start, column, k + step, tile.last),
          turned_b(b_start, column + 1u, k + step, tile.last),
          turned_b(b_start, column + 2u, k + step, tile.last),
          turned_b(b_start, column + 3u, k + step, tile.last),
        ));
        @unroll for (var j = 0u; j < 4u; j++) {
          b_tile[(step + j) * B_STRIDE + four] = turned[j];
        }
      }
    }
    workgroupBarrier();
    for (var step = 0u; step < STEPS; step++) {
      var b_row: array<vec4f, COLUMN_FOURS>;
      @unroll for (var g = 0u; g < COLUMN_FOURS; g++) {
        b_row[g] = b_tile[step * B_STRIDE + across + g * ACROSS];
      }
      @unroll for (var f = 0u; f < ROW_FOURS; f++) {
        let a_column = a_tile[step * A_STRIDE + down + f * DOWN];
        @unroll for (var g = 0u; g < COLUMN_FOURS; g++) {
          @unroll for (var i = 0u; i < 4u; i++) {
            sums[f * COLUMN_FOURS + g][i] =
              fma(vec4f(a_column[i]), b_row[g], sums[f * COLUMN_FOURS + g][i]);
          }
        }
      }
    }
    workgroupBarrier();
  }

  let c_start = tile.matrix * shape.rows * shape.c_width + shape.c_first;
  @unroll for (var f = 0u; f < ROW_FOURS; f++) {
    @unroll for (var g = 0u; g < COLUMN_FOURS; g++) {
      @unroll for (var i = 0u; i < 4u; i++) {
        let row = tile.row + (down + f * DOWN) * 4u + i;
        let column = tile.column + (across + g * ACROSS) * 4u;
        store_row(c_start, row, column, sums[f * COLUMN_FOURS + g][i]);
      }
    }
  }
}
