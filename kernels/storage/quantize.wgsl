// Rows in groups of integers with one scale each, from stored elements: a weight is the nearest of
// integer * largest / (2^(BITS - 1) - 1), with the largest absolute value of its group in 16 bits.
// Dispatch: two groups of a row per invocation, folded past 65,535 workgroups.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::common::quantized::{BITS, GROUP, LARGEST_INTEGER, words_of};
import package::storage::halves::{are_past_halves, halves_of};
@if(ALIGNED)
import package::storage::stored::stored_eight;
@else
import package::storage::stored::stored_at;

struct Shape {
  rows: u32,
  columns: u32,
  first_row: u32, // of the matrix, that is written
  flag: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read_write> values: array<vec4u>; // [rows of the matrix, words / 4]
@group(0) @binding(3) var<storage, read_write> scales: array<u32>; // [rows of the matrix, scale words]
@group(0) @binding(4) var<storage, read_write> flags: array<atomic<u32>>; // 1: a number is past 16 bits

// Eight elements of a row, zeros past its end.
@if(ALIGNED) // rows are whole groups
fn eight_of(row: u32, column: u32) -> mat2x4f {
  return stored_eight((row * shape.columns + column) / 8u);
}
@else
fn eight_of(row: u32, column: u32) -> mat2x4f {
  var eight = mat2x4f();
  for (var i = 0u; i < 8u && column + i < shape.columns; i++) {
    eight[i / 4u][i % 4u] = stored_at(row * shape.columns + column + i);
  }
  return eight;
}

// Four integers, each moved to its place among the bits from `place` on.
fn packed(integers: vec4f, place: u32) -> u32 {
  let bits = (vec4u(vec4i(integers)) & vec4u((1u << BITS) - 1u)) << (BITS * vec4u(0u, 1u, 2u, 3u));
  return (bits.x | bits.y | bits.z | bits.w) << place;
}

// Writes the integers of a group; returns its largest absolute value, as 16 bits.
fn write_group(row: u32, group: u32, words: u32) -> u32 {
  let first = group * GROUP;
  var elements: array<mat2x4f, GROUP / 8u>;
  var most = vec4u(); // as bits, whose order is that of the values; NaN is the largest
  var arePast = vec4<bool>(); // also of numbers beside a NaN or an infinity
  @unroll
  for (var i = 0u; i < 4u; i++) {
    elements[i] = eight_of(row, first + 8u * i);
    most = max(most, bitcast<vec4u>(elements[i][0]) & vec4u(0x7fffffffu));
    most = max(most, bitcast<vec4u>(elements[i][1]) & vec4u(0x7fffffffu));
    arePast |= are_past_halves(elements[i][0]) | are_past_halves(elements[i][1]);
  }
  let largest = max(max(most.x, most.y), max(most.z, most.w));
  let isFinite = largest < 0x7f800000u;
  if (any(arePast)) {
    atomicMax(&flags[shape.flag], 1u);
  }
  // A group with an infinity is NaN, as its other elements would be.
  let half = select(0x7e00u, halves_of(bitcast<vec4f>(vec4u(largest))).x, isFinite);
  let scale = unpack2x16float(half).x;
  let isEmpty = scale == 0.0 || !isFinite;
  let limit = vec4f(f32(LARGEST_INTEGER));
  var integers: array<u32, 8>; // words of eight integers of 4 bits, or of four of 8
  @unroll
  for (var i = 0u; i < 4u; i++) {
    let low = clamp(round(elements[i][0] * limit / scale), -limit, limit);
    let high = clamp(round(elements[i][1] * limit / scale), -limit, limit);
    if (BITS == 4u) {
      integers[i] = select(packed(low, 0u) | packed(high, 16u), 0u, isEmpty);
    } else {
      integers[2u * i] = select(packed(low, 0u), 0u, isEmpty);
      integers[2u * i + 1u] = select(packed(high, 0u), 0u, isEmpty);
    }
  }
  let start = ((shape.first_row + row) * words + group * BITS) / 4u;
  values[start] = vec4u(integers[0], integers[1], integers[2], integers[3]);
  if (BITS == 8u) {
    values[start + 1u] = vec4u(integers[4], integers[5], integers[6], integers[7]);
  }
  return half;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn quantize(invocation: Invocation) {
  let words = words_of(shape.columns);
  let index = number_of(invocation);
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
