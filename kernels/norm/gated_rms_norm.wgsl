// What a state-space layer or a linear RNN does with what it read, in one pass. With
//   u = x (+ skip * values), times kind(gate) where GATE_FIRST,
//   output = u * inverseSqrt(mean(u * u) + epsilon) * weight over each group (u where there is no weight),
// times kind(gate) where there is a gate and it is not first.
// Dispatch: ROWS groups per workgroup, LANES invocations per group, folded past 65,535 workgroups.
// Columns are counted in Elements.

import package::common::activation_kinds::activate;
import package::common::lanes::{LANES, Lane, ROWS, row_of};
import package::norm::element::{Element, total};
@if(SUBGROUPS)
import package::norm::sum_lanes_subgroups::sum_lanes;
@else
import package::norm::sum_lanes::sum_lanes;

struct Shape {
  rows: u32, // groups of all tokens
  groups: u32, // of a token
  columns: u32, // Elements of a group
  width: u32, // floats of a group
  weight_groups: u32, // groups that have a weight of their own; else 1
  run: u32, // Elements that share a skip
  gate_stride: u32, // Elements from a token's gates to the next token's
  gate_start: u32, // Elements before a token's gates
  epsilon: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<Element>; // [tokens, groups, columns]
@if(HAS_WEIGHT)
@group(0) @binding(2) var<storage, read> weight: array<Element>; // [weight_groups, columns]
@if(HAS_GATE)
@group(0) @binding(3) var<storage, read> gate: array<Element>; // [tokens, gate_stride]
@if(HAS_VALUES)
@group(0) @binding(4) var<storage, read> values: array<Element>; // [tokens, groups, columns]
@if(HAS_SKIP)
@group(0) @binding(5) var<storage, read> skip: array<f32>; // [groups * columns / run]
@group(0) @binding(6) var<storage, read_write> output: array<Element>; // [tokens, groups, columns]

fn gate_at(row: u32, column: u32) -> Element {
  @if(HAS_GATE) {
    let at = row / shape.groups * shape.gate_stride + shape.gate_start +
      row % shape.groups * shape.columns + column;
    @if(FOURS)
    return activate(gate[at]);
    @else
    return activate(vec4f(gate[at])).x;
  }
  @else
  return Element(1.0);
}

fn input_at(row: u32, column: u32) -> Element {
  let at = row * shape.columns + column;
  var u = x[at];
  @if(HAS_VALUES)
  u += skip[at % (shape.groups * shape.columns) / shape.run] * values[at];
  @if(GATE_FIRST)
  u *= gate_at(row, column);
  return u;
}

@compute @workgroup_size(LANES, ROWS)
fn gated_rms_norm(lane: Lane) {
  let local = lane.local;
  let row = row_of(lane);
  let valid = row < shape.rows;
  let safe = min(row, shape.rows - 1u);
  var scale = 1.0;
  @if(HAS_WEIGHT) {
    var sum = Element();
    for (var column = local.x; column < shape.columns; column += LANES) {
      let u = input_at(safe, column);
      sum += u * u;
    }
    scale = inverseSqrt(sum_lanes(local, total(sum)) / f32(shape.width) + shape.epsilon);
  }
  if (!valid) {
    return;
  }
  for (var column = local.x; column < shape.columns; column += LANES) {
    var y = input_at(row, column);
    @if(HAS_WEIGHT)
    y *= scale * weight[row % shape.weight_groups * shape.columns + column];
    @if(!GATE_FIRST)
    y *= gate_at(row, column);
    output[row * shape.columns + column] = y;
  }
}
