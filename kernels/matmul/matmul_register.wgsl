// Matrix product from registers: C = op(A) op(B), with op(X) = X or its transpose, to which
// C before (ACCUMULATE), a bias (HAS_BIAS) and another matrix (HAS_ADDEND) may be added.
// An invocation holds a tile of C in registers, ROW_BLOCKS × COLUMN_BLOCKS blocks of 4 × 4, and reads A
// and B straight from storage: at each 4 steps of K a block of A for each row of blocks, and one of B for
// each column.
// Dispatch: one invocation per tile of C and a split of K, column tiles fastest.
// K is a multiple of 4, N too, and M where A is transposed: matmul_pad sees to it. Where the place or the
// width of C is none (not FOURS), its elements are stored one by one, those of the padding not at all.
// Without GUARDED every invocation has a whole tile: guards cost a software adapter much.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
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

@if(FOURS)
alias StoredBias = vec4<ElementBias>;
@else
alias StoredBias = ElementBias;
@if(FOURS)
alias StoredC = vec4<ElementC>;
@else
alias StoredC = ElementC;
@if(FOURS)
alias Addend = vec4f;
@else
alias Addend = f32;

@group(0) @binding(1) var<storage, read> a: array<vec4<ElementA>>; // [batches, M, K] or [batches, K, M]
@if(!HAS_SCALES)
@group(0) @binding(2) var<storage, read> b: array<vec4<ElementB>>; // [batches, K, N] or [batches, N, K]
@if(HAS_BIAS)
@group(0) @binding(3) var<storage, read> bias: array<StoredBias>; // [c_width]
@group(0) @binding(4) var<storage, read_write> c: array<StoredC>; // [splits, batches, M, c_width]
@if(HAS_ADDEND)
@group(0) @binding(6) var<storage, read> addend: array<Addend>; // [batches, M, c_width]

@link const ROW_BLOCKS: u32 = 4u; // of a tile
@link const COLUMN_BLOCKS: u32 = 4u;

// An index of A or B, the last where it is past that: what is computed of it is not stored.
fn kept_below(index: u32, count: u32) -> u32 {
  @if(GUARDED)
  return min(index, count - 1u);
  @else
  return index;
}

// Four rows of op(A) at four steps of K, the rows as the matrix's columns.
fn block_a(start: u32, row: u32, k: u32) -> mat4x4f {
  if (TRANSPOSE_A) {
    let width = shape.rows / 4u;
    let i = start + k * width + kept_below(row / 4u, width);
    return transpose(mat4x4f(
      vec4f(a[i]),
      vec4f(a[i + width]),
      vec4f(a[i + 2u * width]),
      vec4f(a[i + 3u * width]),
    ));
  }
  let width = shape.reduction / 4u;
  let i = start + k / 4u;
  return mat4x4f(
    vec4f(a[i + kept_below(row, shape.rows) * width]),
    vec4f(a[i + kept_below(row + 1u, shape.rows) * width]),
    vec4f(a[i + kept_below(row + 2u, shape.rows) * width]),
    vec4f(a[i + kept_below(row + 3u, shape.rows) * width]),
  );
}

// Four rows of B as it is stored.
@if(!HAS_SCALES)
fn stored_b(i: u32, width: u32) -> mat4x4f {
  return mat4x4f(
    vec4f(b[i]),
    vec4f(b[i + width]),
    vec4f(b[i + 2u * width]),
    vec4f(b[i + 3u * width]),
  );
}

// Four steps of K of op(B) at four columns, the steps as the matrix's columns.
@if(HAS_SCALES) // and B is transposed
fn block_b(_start: u32, k: u32, column: u32) -> mat4x4f {
  // Past the last column there are columns of a padded C, which are not stored.
  return transpose(mat4x4f(
    quantized_b(k, column),
    quantized_b(k, column + 1u),
    quantized_b(k, column + 2u),
    quantized_b(k, column + 3u),
  ));
}
@else
fn block_b(start: u32, k: u32, column: u32) -> mat4x4f {
  if (TRANSPOSE_B) {
    let width = shape.reduction / 4u;
    let i = start + kept_below(column, shape.columns - 3u) * width + k / 4u;
    return transpose(stored_b(i, width));
  }
  let width = shape.columns / 4u;
  let i = start + k * width + kept_below(column / 4u, width);
  return stored_b(i, width);
}

// The sum of a row of C and a row of A times four rows of B.
fn add_row(sum: vec4f, a_row: vec4f, b_rows: mat4x4f) -> vec4f {
  return fma(
    a_row.wwww,
    b_rows[3],
    fma(a_row.zzzz, b_rows[2], fma(a_row.yyyy, b_rows[1], fma(a_row.xxxx, b_rows[0], sum))),
  );
}

fn add_block(sum: mat4x4f, a_rows: mat4x4f, b_rows: mat4x4f) -> mat4x4f {
  return mat4x4f(
    add_row(sum[0], a_rows[0], b_rows),
    add_row(sum[1], a_rows[1], b_rows),
    add_row(sum[2], a_rows[2], b_rows),
    add_row(sum[3], a_rows[3], b_rows),
  );
}

@if(FOURS)
fn store_row(start: u32, row: u32, column: u32, value: vec4f) {
  @if(GUARDED)
  if (row >= shape.rows || column >= shape.columns) { return; }
  let i = (start + row * shape.c_width + column) / 4u;
  var total = value;
  @if(HAS_BIAS)
  total += vec4f(bias[(shape.c_first + column) / 4u]);
  @if(HAS_ADDEND)
  total += addend[i];
  if (ACCUMULATE) {
    total += vec4f(c[i]);
  }
  c[i] = vec4<ElementC>(total);
}
@else
fn store_row(start: u32, row: u32, column: u32, value: vec4f) {
  @if(GUARDED)
  if (row >= shape.rows) { return; }
  let columns = min(shape.columns, shape.c_width - shape.c_first); // without padding, or another block's
  @unroll
  for (var j = 0u; j < 4u; j++) {
    if (column + j < columns) {
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
}

fn store_block(start: u32, row: u32, column: u32, value: mat4x4f) {
  store_row(start, row, column, value[0]);
  store_row(start, row + 1u, column, value[1]);
  store_row(start, row + 2u, column, value[2]);
  store_row(start, row + 3u, column, value[3]);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn matmul_register(invocation: Invocation) {
  let tile = tile_of(number_of(invocation), 4u * ROW_BLOCKS, 4u * COLUMN_BLOCKS);
  @if(GUARDED)
  if (tile.matrix >= shape.splits * shape.batches) { return; }
  let a_start = tile.batch * shape.a_stride / 4u;
  let b_start = tile.batch * shape.b_stride / 4u;

  var sums: array<mat4x4f, ROW_BLOCKS * COLUMN_BLOCKS>; // blocks of C
  for (var k = tile.first; k < tile.last; k += 4u) {
    var a_blocks: array<mat4x4f, ROW_BLOCKS>;
    @unroll
    for (var i = 0u; i < ROW_BLOCKS; i++) {
      a_blocks[i] = block_a(a_start, tile.row + 4u * i, k);
    }
    @unroll
    for (var j = 0u; j < COLUMN_BLOCKS; j++) {
      let b_block = block_b(b_start, k, tile.column + 4u * j);
      @unroll
      for (var i = 0u; i < ROW_BLOCKS; i++) {
        sums[i * COLUMN_BLOCKS + j] = add_block(sums[i * COLUMN_BLOCKS + j], a_blocks[i], b_block);
      }
    }
  }

  let c_start = tile.matrix * shape.rows * shape.c_width + shape.c_first;
  @unroll
  for (var i = 0u; i < ROW_BLOCKS; i++) {
    @unroll
    for (var j = 0u; j < COLUMN_BLOCKS; j++) {
      store_block(c_start, tile.row + 4u * i, tile.column + 4u * j, sums[i * COLUMN_BLOCKS + j]);
    }
  }
}
