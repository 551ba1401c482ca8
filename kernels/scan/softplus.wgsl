// y = log(1 + exp(x + bias)), or x + bias where LINEAR; exact to the last bits for very negative x too:
//   softplus(x) = max(x, 0) + log1p(e), e = exp(-|x|),  log1p(e) = 2 artanh(s), s = e / (2 + e) <= 1/3.
// Dispatch: one invocation per element.

import package::common::exponential::exponential;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

override LINEAR: bool = false;

struct Shape {
  rows: u32,
  columns: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [rows, columns]
@if(HAS_BIAS)
@group(0) @binding(2) var<storage, read> bias: array<f32>; // [columns]; else 0
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [rows, columns]

@compute @workgroup_size(WORKGROUP_SIZE)
fn softplus(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.rows * shape.columns) {
    return;
  }
  var value = x[index];
  @if(HAS_BIAS)
  value += bias[index % shape.columns];
  if (LINEAR) {
    y[index] = value;
    return;
  }
  let e = exponential(-abs(value));
  let s = e / (2.0 + e);
  let q = s * s;
  // 1 + q/3 + q²/5 + ...: the next term is under 1e-9.
  let series = 1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 +
    q * (1.0 / 13.0 + q / 15.0))))));
  y[index] = max(value, 0.0) + 2.0 * s * series;
}
