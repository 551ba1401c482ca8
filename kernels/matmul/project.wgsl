// Products of a few rows of x with up to six weights in one dispatch, of its RMS norm where that has a
// weight: with x' = x * inverseSqrt(mean(x * x) + epsilon) * norm_weight,
//   output = kind(x' weightᵀ + bias) * factor (+ addend, in the first output);
// where GATED, output0 = kind0(x' weight0ᵀ + bias0) * (x' weight1ᵀ + bias1); where HAS_TIMES, output0 is
// multiplied by times. Weights are quantized where they have scales; where CUT, weight0 (and weight1) is a
// block of rows of a larger one, of which the columns of the output from `first` on come. Of each weight, and
// its bias, the rows from `from` on are taken, as many as `columns`.
// As in matmul_vector an invocation takes four columns of a row, in steps of four of K, and the LANES
// that share columns add their sums up in workgroup memory.
// Dispatch: 4 * GROUPS columns of a row per workgroup, those of the first weight first; folded.

import package::common::activation_kinds::activate_as;
@if(HAS_SCALES0)
import package::common::quantized::{integers_of, scale_word_of, step_of, word_of, words_of};
import package::common::workgroups::{Workgroup, number_of_workgroup};

override GROUPS: u32 = 8u;
override LANES: u32 = 1u; // a power of two
override KIND0: u32 = 255u; // in the order of ACTIVATION_KINDS; 255 for none
override KIND1: u32 = 255u;
override KIND2: u32 = 255u;
override KIND3: u32 = 255u;
override KIND4: u32 = 255u;
override KIND5: u32 = 255u;

@link const WEIGHTS: u32 = 1u;

@link alias Stored = vec4f; // or vec4h: four steps of K of a weight; or u32: as many integers as it holds
@link alias ElementBias = f32; // or f16

const NONE = 255u;

struct Shape {
  rows: u32,
  vectors: u32, // of four steps of K
  epsilon: f32,
  factor: f32,
  columns0: u32,
  columns1: u32,
  columns2: u32,
  columns3: u32,
  columns4: u32,
  columns5: u32,
  from0: u32,
  from1: u32,
  from2: u32,
  from3: u32,
  from4: u32,
  from5: u32,
  cut_from: u32, // where CUT: the row of the weight in one, that row from0 of the block is
  first: u32, // and the column of output0 that it gives, whose width is
  width: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [rows, K]
@if(HAS_NORM_WEIGHT)
@group(0) @binding(2) var<storage, read> norm_weight: array<vec4f>; // [K]
@if(HAS_ADDEND)
@group(0) @binding(3) var<storage, read> addend: array<f32>; // as output0
@group(0) @binding(4) var<storage, read> weight0: array<Stored>; // [N0, K]
@if(HAS_WEIGHT1)
@group(0) @binding(5) var<storage, read> weight1: array<Stored>; // [N1, K]
@if(HAS_WEIGHT2)
@group(0) @binding(6) var<storage, read> weight2: array<Stored>; // [N2, K]
@if(HAS_WEIGHT3)
@group(0) @binding(7) var<storage, read> weight3: array<Stored>; // [N3, K]
@if(HAS_WEIGHT4)
@group(0) @binding(8) var<storage, read> weight4: array<Stored>; // [N4, K]
@if(HAS_WEIGHT5)
@group(0) @binding(9) var<storage, read> weight5: array<Stored>; // [N5, K]
@if(HAS_BIAS0)
@group(0) @binding(10) var<storage, read> bias0: array<ElementBias>; // [N0], or [width]
@if(HAS_BIAS1)
@group(0) @binding(11) var<storage, read> bias1: array<ElementBias>; // [N1], or [width]
@if(HAS_BIAS2)
@group(0) @binding(12) var<storage, read> bias2: array<ElementBias>; // [N2]
@if(HAS_BIAS3)
@group(0) @binding(13) var<storage, read> bias3: array<ElementBias>; // [N3]
@if(HAS_BIAS4)
@group(0) @binding(14) var<storage, read> bias4: array<ElementBias>; // [N4]
@if(HAS_BIAS5)
@group(0) @binding(15) var<storage, read> bias5: array<ElementBias>; // [N5]
@group(0) @binding(16) var<storage, read_write> output0: array<f32>; // [rows, N0], or [rows, width]
@if(HAS_OUTPUT1)
@group(0) @binding(17) var<storage, read_write> output1: array<f32>; // [rows, N1]
@if(HAS_OUTPUT2)
@group(0) @binding(18) var<storage, read_write> output2: array<f32>; // [rows, N2]
@if(HAS_OUTPUT3)
@group(0) @binding(19) var<storage, read_write> output3: array<f32>; // [rows, N3]
@if(HAS_OUTPUT4)
@group(0) @binding(20) var<storage, read_write> output4: array<f32>; // [rows, N4]
@if(HAS_OUTPUT5)
@group(0) @binding(21) var<storage, read_write> output5: array<f32>; // [rows, N5]
@if(HAS_SCALES0)
@group(0) @binding(22) var<storage, read> scales0: array<u32>; // [N0, scale words]
@if(HAS_SCALES1)
@group(0) @binding(23) var<storage, read> scales1: array<u32>; // [N1, scale words]
@if(HAS_SCALES2)
@group(0) @binding(24) var<storage, read> scales2: array<u32>; // [N2, scale words]
@if(HAS_SCALES3)
@group(0) @binding(25) var<storage, read> scales3: array<u32>; // [N3, scale words]
@if(HAS_SCALES4)
@group(0) @binding(26) var<storage, read> scales4: array<u32>; // [N4, scale words]
@if(HAS_SCALES5)
@group(0) @binding(27) var<storage, read> scales5: array<u32>; // [N5, scale words]
@if(HAS_TIMES)
@group(0) @binding(28) var<storage, read> times: array<f32>; // as output0

var<workgroup> partial: array<vec4f, GROUPS * LANES>;
var<workgroup> squares: array<f32, GROUPS * LANES>;

fn columns_of(weight: u32) -> u32 {
  switch (weight) {
    case 0u: { return shape.columns0; }
    case 1u: { return shape.columns1; }
    case 2u: { return shape.columns2; }
    case 3u: { return shape.columns3; }
    case 4u: { return shape.columns4; }
    default: { return shape.columns5; }
  }
}

fn from_of(weight: u32) -> u32 {
  switch (weight) {
    case 0u: { return shape.from0; }
    case 1u: { return shape.from1; }
    case 2u: { return shape.from2; }
    case 3u: { return shape.from3; }
    case 4u: { return shape.from4; }
    default: { return shape.from5; }
  }
}

fn kind_of(weight: u32) -> u32 {
  switch (weight) {
    case 0u: { return KIND0; }
    case 1u: { return KIND1; }
    case 2u: { return KIND2; }
    case 3u: { return KIND3; }
    case 4u: { return KIND4; }
    default: { return KIND5; }
  }
}

// `weight` is a constant where these are called, so that one branch is left.
fn stored_at(weight: u32, at: u32) -> Stored {
  @if(HAS_WEIGHT1)
  if (weight == 1u) { return weight1[at]; }
  @if(HAS_WEIGHT2)
  if (weight == 2u) { return weight2[at]; }
  @if(HAS_WEIGHT3)
  if (weight == 3u) { return weight3[at]; }
  @if(HAS_WEIGHT4)
  if (weight == 4u) { return weight4[at]; }
  @if(HAS_WEIGHT5)
  if (weight == 5u) { return weight5[at]; }
  return weight0[at];
}

@if(HAS_SCALES0)
fn scales_at(weight: u32, at: u32) -> u32 {
  @if(HAS_SCALES1)
  if (weight == 1u) { return scales1[at]; }
  @if(HAS_SCALES2)
  if (weight == 2u) { return scales2[at]; }
  @if(HAS_SCALES3)
  if (weight == 3u) { return scales3[at]; }
  @if(HAS_SCALES4)
  if (weight == 4u) { return scales4[at]; }
  @if(HAS_SCALES5)
  if (weight == 5u) { return scales5[at]; }
  return scales0[at];
}

// How much of a weight, and of its scales, a column takes.
fn column_lengths() -> vec2u {
  @if(HAS_SCALES0)
  return words_of(4u * shape.vectors);
  @else
  return vec2u(shape.vectors, 0u);
}

// Four steps of K of a column that begins at these places of a weight and of its scales.
fn weight_at(weight: u32, start: u32, scale_start: u32, k: u32) -> vec4f {
  @if(HAS_SCALES0) {
    let integers = integers_of(stored_at(weight, start + word_of(4u * k)), 4u * k);
    return integers * step_of(scales_at(weight, scale_start + scale_word_of(4u * k)), 4u * k);
  }
  @else
  return vec4f(stored_at(weight, start + k));
}

fn bias_at(weight: u32, column: u32) -> f32 {
  @if(HAS_BIAS0)
  if (weight == 0u) { return f32(bias0[column]); }
  @if(HAS_BIAS1)
  if (weight == 1u) { return f32(bias1[column]); }
  @if(HAS_BIAS2)
  if (weight == 2u) { return f32(bias2[column]); }
  @if(HAS_BIAS3)
  if (weight == 3u) { return f32(bias3[column]); }
  @if(HAS_BIAS4)
  if (weight == 4u) { return f32(bias4[column]); }
  @if(HAS_BIAS5)
  if (weight == 5u) { return f32(bias5[column]); }
  return 0.0;
}

fn store(weight: u32, at: u32, value: f32) {
  @if(HAS_OUTPUT1)
  if (weight == 1u) { output1[at] = value; }
  @if(HAS_OUTPUT2)
  if (weight == 2u) { output2[at] = value; }
  @if(HAS_OUTPUT3)
  if (weight == 3u) { output3[at] = value; }
  @if(HAS_OUTPUT4)
  if (weight == 4u) { output4[at] = value; }
  @if(HAS_OUTPUT5)
  if (weight == 5u) { output5[at] = value; }
  if (weight == 0u) { output0[at] = value; }
}

// The root mean square of a row is needed by every workgroup, which sums it up for itself.
fn inverse_rms(row: u32, local: u32) -> f32 {
  var sum = vec4f();
  for (var k = local; k < shape.vectors; k += GROUPS * LANES) {
    let value = x[row * shape.vectors + k];
    sum = fma(value, value, sum);
  }
  squares[local] = (sum.x + sum.y) + (sum.z + sum.w);
  workgroupBarrier();
  var total = 0.0;
  for (var i = 0u; i < GROUPS * LANES; i++) {
    total += squares[i];
  }
  return inverseSqrt(total / f32(4u * shape.vectors) + shape.epsilon);
}

fn input_at(row: u32, k: u32, scale: f32) -> vec4f {
  @if(HAS_NORM_WEIGHT)
  return x[row * shape.vectors + k] * scale * norm_weight[k];
  @else
  return x[row * shape.vectors + k];
}

// The first element of a bias that is added.
fn bias_from(weight: u32) -> u32 {
  @if(CUT)
  return shape.cut_from;
  @else
  return from_of(weight);
}

// Four columns of the product with a weight; in the first lane of those that share them.
fn four_columns(weight: u32, row: u32, column: u32, scale: f32, slot: u32) -> vec4f {
  let last = columns_of(weight) - 1u;
  let lane = slot % LANES;
  var sums = mat4x4f(); // a column of the product each, by k % 4
  let first = vec4u(column, column + 1u, column + 2u, column + 3u);
  let lengths = column_lengths();
  let rows = from_of(weight) + min(first, vec4u(last));
  let starts = rows * lengths.x;
  let scale_starts = rows * lengths.y;
  for (var k = lane; k < shape.vectors; k += LANES) {
    let a = input_at(row, k, scale);
    sums[0] = fma(a, weight_at(weight, starts.x, scale_starts.x, k), sums[0]);
    sums[1] = fma(a, weight_at(weight, starts.y, scale_starts.y, k), sums[1]);
    sums[2] = fma(a, weight_at(weight, starts.z, scale_starts.z, k), sums[2]);
    sums[3] = fma(a, weight_at(weight, starts.w, scale_starts.w, k), sums[3]);
  }
  sums = transpose(sums);
  var total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  if (LANES > 1u) {
    workgroupBarrier(); // after those of another weight were read
    partial[slot] = total;
    for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
      workgroupBarrier();
      if (lane < stride) {
        partial[slot] += partial[slot + stride];
      }
    }
    total = partial[slot];
  }
  @unroll for (var j = 0u; j < 4u; j++) {
    total[j] += bias_at(weight, bias_from(weight) + min(column + j, last));
  }
  return total;
}

@compute @workgroup_size(GROUPS * LANES)
fn project(workgroup: Workgroup, @builtin(local_invocation_index) local: u32) {
  var blocks = 0u; // of a row
  @unroll for (var i = 0u; i < WEIGHTS; i++) {
    blocks += (columns_of(i) + 4u * GROUPS - 1u) / (4u * GROUPS);
  }
  @if(GATED)
  blocks = (shape.columns0 + 4u * GROUPS - 1u) / (4u * GROUPS);
  let index = number_of_workgroup(workgroup);
  let row = index / blocks;
  if (row >= shape.rows) {
    return;
  }
  var scale = 1.0;
  @if(HAS_NORM_WEIGHT)
  scale = inverse_rms(row, local);
  var start = 0u; // the first block of a weight
  @unroll for (var i = 0u; i < WEIGHTS; i++) {
    let columns = columns_of(i);
    let end = start + (columns + 4u * GROUPS - 1u) / (4u * GROUPS);
    let block = index % blocks;
    if (block >= start && block < end) {
      let column = ((block - start) * GROUPS + local / LANES) * 4u;
      var value = four_columns(i, row, column, scale, local);
      if (kind_of(i) != NONE) {
        value = activate_as(kind_of(i), value);
      }
      value *= shape.factor;
      @if(GATED)
      value *= four_columns(1u, row, column, scale, local);
      if (local % LANES == 0u) {
        @unroll for (var j = 0u; j < 4u; j++) {
          if (column + j < columns) {
            @if(CUT)
            let at = row * shape.width + shape.first + column + j;
            @else
            let at = row * columns + column + j;
            var each = value[j];
            @if(HAS_TIMES)
            if (i == 0u) { each *= times[at]; }
            @if(HAS_ADDEND)
            if (i == 0u) { each += addend[at]; }
            store(i, at, each);
          }
        }
      }
    }
    start = end;
  }
}
