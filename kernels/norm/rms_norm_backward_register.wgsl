// Gradients of RMS norm of short rows, with r = inverse_rms and dŷ = dy * weight:
//   dx = r * (dŷ - x * r² * mean(dŷ * x)) (+ dx before),  dw = sum over rows of dy * x * r.
// An invocation holds a row in registers, and the weights and their gradients of its rows, a
// run of them.
// Dispatch: one invocation per run of rows, folded past 65,535 workgroups.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

override ACCUMULATE: bool = false; // whether dx before is added

@link const COLUMNS: u32 = 8u; // vec4s of a row

struct Shape {
  rows: u32,
  run: u32, // of an invocation
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [rows, COLUMNS]
@group(0) @binding(2) var<storage, read> weight: array<vec4f>; // [COLUMNS]
@group(0) @binding(3) var<storage, read> inverse_rms: array<f32>; // [rows]
@group(0) @binding(4) var<storage, read> output_gradient: array<vec4f>; // [rows, COLUMNS]
@group(0) @binding(5) var<storage, read_write> x_gradient: array<vec4f>; // [rows, COLUMNS]
@group(0) @binding(6) var<storage, read_write> partial: array<vec4f>; // [ceil(rows / run), COLUMNS], of dw

@compute @workgroup_size(WORKGROUP_SIZE)
fn rms_norm_backward_register(invocation: Invocation) {
  let block = number_of(invocation);
  let first = block * shape.run;
  if (first >= shape.rows) {
    return;
  }
  var weights: array<vec4f, COLUMNS>;
  var sums = array<vec4f, COLUMNS>();
  @unroll for (var i = 0u; i < COLUMNS; i++) {
    weights[i] = weight[i];
  }
  let last = min(first + shape.run, shape.rows);
  for (var row = first; row < last; row++) {
    let start = row * COLUMNS;
    let scale = inverse_rms[row];
    var normalized: array<vec4f, COLUMNS>; // x * r
    var gradients: array<vec4f, COLUMNS>; // dŷ
    var sum = vec4f();
    @unroll for (var i = 0u; i < COLUMNS; i++) {
      normalized[i] = x[start + i] * scale;
      let gradient = output_gradient[start + i];
      sums[i] = fma(gradient, normalized[i], sums[i]);
      gradients[i] = gradient * weights[i];
      sum = fma(gradients[i], normalized[i], sum);
    }
    let mean = ((sum.x + sum.y) + (sum.z + sum.w)) / f32(4u * COLUMNS);
    @unroll for (var i = 0u; i < COLUMNS; i++) {
      var gradient = scale * (gradients[i] - normalized[i] * mean);
      if (ACCUMULATE) {
        gradient += x_gradient[start + i];
      }
      x_gradient[start + i] = gradient;
    }
  }
  @unroll for (var i = 0u; i < COLUMNS; i++) {
    partial[block * COLUMNS + i] = sums[i];
  }
}
