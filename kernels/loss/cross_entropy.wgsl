// Softmax cross-entropy of each row, online in one pass (Milakov & Gimelshein 2018, algorithm 3):
//   loss = (log(sum over c of exp(logits[c])) - logits[label]) * row_weight.
// correct = 1 where the label is the first of the largest logits. A row whose label is not below the
// vocabulary is not scored: all three are 0.
// Dispatch: ROWS rows per workgroup, LANES invocations per row, folded past 65,535 workgroups.

import package::common::exponential::{exponential, exponential_quad};
import package::common::lanes::{LANES, Lane, ROWS, local_of, row_of};
import package::common::numbers::log_of;
@if(SUBGROUPS)
import package::loss::join_lanes_subgroups::join_lanes;
@else
import package::loss::join_lanes::join_lanes;
import package::loss::part::{LOWEST, NOWHERE, Part};

struct Shape {
  rows: u32,
  vocabulary: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>; // [rows, vocabulary]
@group(0) @binding(2) var<storage, read> labels: array<u32>; // [rows]
@if(HAS_ROW_WEIGHTS)
@group(0) @binding(3) var<storage, read> row_weights: array<f32>; // [rows]; else 1
@group(0) @binding(4) var<storage, read_write> loss: array<f32>; // [rows]
@group(0) @binding(5) var<storage, read_write> log_sum_exp: array<f32>; // [rows]
@group(0) @binding(6) var<storage, read_write> correct: array<u32>; // [rows]

@compute @workgroup_size(LANES * ROWS)
fn cross_entropy(lane: Lane) {
  let local = local_of(lane);
  let row = row_of(lane);
  let valid = row < shape.rows;
  let label = labels[select(0u, row, valid)];
  let scored = valid && label < shape.vocabulary;
  // The row in vec4s, whatever its alignment: the first and the last may hold others' elements.
  let start = select(0u, row * shape.vocabulary, scored);
  let end = select(0u, start + shape.vocabulary, scored);
  var maximum = LOWEST;
  var sum = 0.0;
  var place = NOWHERE;
  for (var vector = start / 4u + local.x; vector < (end + 3u) / 4u; vector += LANES) {
    let elements = vec4u(vector * 4u) + vec4u(0u, 1u, 2u, 3u);
    let inside = (elements >= vec4u(start)) & (elements < vec4u(end));
    let x = select(vec4f(LOWEST), logits[vector], inside);
    let largest = max(max(x.x, x.y), max(x.z, x.w));
    if (largest > maximum) {
      sum *= exponential(maximum - largest);
      maximum = largest;
      let offset = select(select(select(3u, 2u, x.z == largest), 1u, x.y == largest), 0u,
        x.x == largest);
      place = elements.x + offset - start;
    }
    let terms = select(vec4f(0.0), exponential_quad(x - maximum), inside);
    sum += (terms.x + terms.y) + (terms.z + terms.w);
  }
  let joined = join_lanes(local, Part(maximum, sum, place));
  if (!valid || local.x > 0u) {
    return;
  }
  if (!scored) {
    loss[row] = 0.0;
    log_sum_exp[row] = 0.0;
    correct[row] = 0u;
    return;
  }
  let target_element = start + label;
  let target_logit = logits[target_element / 4u][target_element % 4u];
  let log_sum = log_of(joined.sum);
  let total = joined.maximum + log_sum;
  // The difference of the maxima first: both can be large where the loss is small.
  var value = (joined.maximum - target_logit) + log_sum;
  @if(HAS_ROW_WEIGHTS)
  value *= row_weights[row];
  loss[row] = value;
  log_sum_exp[row] = total;
  correct[row] = select(0u, 1u, joined.place == label);
}
