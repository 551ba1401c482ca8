// RMS norm along the last axis, of short rows: output = x * inverseSqrt(mean(x * x) + EPSILON) * weight.
// An invocation holds a row in registers, and the weights for its rows, a run of them.
// Dispatch: one invocation per run of rows, folded past 65,535 workgroups.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

override EPSILON: f32 = 1e-5;

@link const COLUMNS: u32 = 8u; // vec4s of a row

struct Shape {
  rows: u32,
  run: u32, // of an invocation
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [rows, COLUMNS]
@group(0) @binding(2) var<storage, read> weight: array<vec4f>; // [COLUMNS]
@group(0) @binding(3) var<storage, read_write> output: array<vec4f>; // [rows, COLUMNS]
@group(0) @binding(4) var<storage, read_write> inverse_rms: array<f32>; // [rows]

@compute @workgroup_size(WORKGROUP_SIZE)
fn rms_norm_register(invocation: Invocation) {
  var weights: array<vec4f, COLUMNS>;
  @unroll for (var i = 0u; i < COLUMNS; i++) {
    weights[i] = weight[i];
  }
  let first = number_of(invocation) * shape.run;
  let last = min(first + shape.run, shape.rows);
  for (var row = first; row < last; row++) {
    let start = row * COLUMNS;
    var values: array<vec4f, COLUMNS>;
    var sum = vec4f();
    @unroll for (var i = 0u; i < COLUMNS; i++) {
      values[i] = x[start + i];
      sum = fma(values[i], values[i], sum);
    }
    let squares = (sum.x + sum.y) + (sum.z + sum.w);
    let scale = inverseSqrt(squares / f32(4u * COLUMNS) + EPSILON);
    inverse_rms[row] = scale;
    @unroll for (var i = 0u; i < COLUMNS; i++) {
      output[start + i] = values[i] * scale * weights[i];
    }
  }
}
