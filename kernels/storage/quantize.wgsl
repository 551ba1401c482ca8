// Rows in groups of integers with one scale each, from stored elements: a weight is the nearest of
// integer * largest / (2^(BITS - 1) - 1), with the largest absolute value of its group in 16 bits.
// Dispatch: two groups of a row an invocation, folded past 65,535 workgroups.

import package::common::quantized::{BITS, GROUP, LARGEST_INTEGER, words_of};
import package::storage::halves::{half_of, is_past_halves};
import package::storage::stored::stored_at;

struct Shape {
  rows: u32,
  columns: u32,
  first_row: u32, // of the matrix, that is written
  flag: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read_write> values: array<u32>; // [rows of the matrix, words]
@group(0) @binding(3) var<storage, read_write> scales: array<u32>; // [rows of the matrix, scale words]
@group(0) @binding(4) var<storage, read_write> flags: array<atomic<u32>>; // 1: a number is past 16 bits

const PER_WORD = 32u / BITS;

fn element_at(row: u32, column: u32) -> f32 {
  if (column >= shape.columns) {
    return 0.0;
  }
  return stored_at(row * shape.columns + column);
}

// Writes the integers of a group; returns its largest absolute value, as 16 bits.
fn write_group(row: u32, group: u32, words: u32) -> u32 {
  let first = group * GROUP;
  var most = 0u; // as bits, whose order is that of the values; NaN is the largest
  for (var i = 0u; i < GROUP; i++) {
    most = max(most, bitcast<u32>(element_at(row, first + i)) & 0x7fffffffu);
  }
  let largest = bitcast<f32>(most);
  if (is_past_halves(largest)) {
    atomicMax(&flags[shape.flag], 1u);
  }
  // A group with an infinity is NaN, as its other elements would be.
  let half = select(half_of(largest), 0x7e00u, most >= 0x7f800000u);
  let scale = unpack2x16float(half).x;
  let isEmpty = scale == 0.0 || most >= 0x7f800000u;
  let limit = f32(LARGEST_INTEGER);
  let start = (shape.first_row + row) * words + group * BITS;
  for (var word = 0u; word < BITS; word++) {
    var packed = 0u;
    for (var i = 0u; i < PER_WORD; i++) {
      let value = element_at(row, first + word * PER_WORD + i);
      let integer = select(i32(clamp(round(value * limit / scale), -limit, limit)), 0, isEmpty);
      packed |= (u32(integer) & ((1u << BITS) - 1u)) << (BITS * i);
    }
    values[start + word] = packed;
  }
  return half;
}

@compute @workgroup_size(64)
fn quantize(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let words = words_of(shape.columns);
  let index = (workgroup.x + workgroup.y * workgroups.x) * 64u + lane;
  let row = index / words.y;
  let pair = index % words.y;
  if (row >= shape.rows) {
    return;
  }
  var scale = write_group(row, 2u * pair, words.x);
  if ((2u * pair + 1u) * BITS < words.x) {
    scale |= write_group(row, 2u * pair + 1u, words.x) << 16u;
  }
  scales[(shape.first_row + row) * words.y + pair] = scale;
}
