// logits_gradient = scale * row_weight * (exp(logits - log_sum_exp) - [c = label]), 0 where the row is
// not scored.
// Dispatch: one invocation per four elements, folded past 65,535 workgroups.

import package::common::exponential::{exponential, exponential_quad};
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

override WHOLE: bool = false; // the vocabulary is a whole number of vec4s

struct Shape {
  rows: u32,
  vocabulary: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>; // [rows, vocabulary]
@group(0) @binding(2) var<storage, read> labels: array<u32>; // [rows]
@group(0) @binding(3) var<storage, read> log_sum_exp: array<f32>; // [rows]
@if(HAS_ROW_WEIGHTS)
@group(0) @binding(4) var<storage, read> row_weights: array<f32>; // [rows]; else 1
@group(0) @binding(5) var<storage, read_write> logits_gradient: array<vec4f>; // [rows, vocabulary]

fn row_scale(row: u32) -> f32 {
  @if(HAS_ROW_WEIGHTS)
  return shape.scale * row_weights[row];
  @else
  return shape.scale;
}

fn gradient(element: u32, logit: f32) -> f32 {
  let row = element / shape.vocabulary;
  if (row >= shape.rows) {
    return 0.0;
  }
  let label = labels[row];
  if (label >= shape.vocabulary) {
    return 0.0;
  }
  let hit = select(0.0, 1.0, element % shape.vocabulary == label);
  return row_scale(row) * (exponential(logit - log_sum_exp[row]) - hit);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn cross_entropy_backward(invocation: Invocation) {
  let index = number_of(invocation);
  let element = index * 4u;
  if (element >= shape.rows * shape.vocabulary) {
    return;
  }
  if (WHOLE) {
    let row = element / shape.vocabulary;
    let label = labels[row];
    if (label >= shape.vocabulary) {
      logits_gradient[index] = vec4f(0.0);
      return;
    }
    let columns = vec4u(element % shape.vocabulary) + vec4u(0u, 1u, 2u, 3u);
    let hits = select(vec4f(0.0), vec4f(1.0), columns == vec4u(label));
    logits_gradient[index] = row_scale(row) * (exponential_quad(logits[index] - log_sum_exp[row]) - hits);
  } else {
    let x = logits[index];
    logits_gradient[index] = vec4f(
      gradient(element, x.x),
      gradient(element + 1u, x.y),
      gradient(element + 2u, x.z),
      gradient(element + 3u, x.w),
    );
  }
}
