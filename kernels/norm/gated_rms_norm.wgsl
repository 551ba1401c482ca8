// What a state-space layer or a linear RNN does with what it read, in one pass. With
//   u = x (+ skip * values), times kind(gate) where GATE_FIRST,
//   output = u * inverseSqrt(mean(u * u) + epsilon) * weight over each group (u where there is no weight),
// times kind(gate) where there is a gate and it is not first.
// Dispatch: ROWS groups per workgroup, LANES invocations per group, folded past 65,535 workgroups.
// Columns are counted in Elements.

import package::common::activation_kinds::activate;
import package::common::lanes::{LANES, Lane, ROWS, local_of, row_of};
import package::norm::element::{Element, total};
@if(SUBGROUPS)
import package::norm::sum_lanes_subgroups::sum_lanes;
@else
import package::norm::sum_lanes::sum_lanes;

@link const HELD: u32 = 1u; // Elements of a group that an invocation holds in registers, where it does (IS_HELD)
@link const RUN: u32 = 1u; // Elements that share a skip
// Constants, so that a lane of its own reads weights and skips at constant places: a software adapter loads
// those once for all invocations.
override GROUPS: u32 = 1u; // of a token
override WEIGHT_GROUPS: u32 = 1u; // groups that have a weight of their own; else 1
override WHOLE: bool = false; // whether all lanes of a group hold as many

struct Shape {
  rows: u32, // groups of all tokens
  columns: u32, // Elements of a group
  width: u32, // floats of a group
  gate_stride: u32, // Elements from a token's gates to the next token's
  gate_start: u32, // Elements before a token's gates
  epsilon: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<Element>; // [tokens, groups, columns]
@if(HAS_WEIGHT)
@group(0) @binding(2) var<storage, read> weight: array<Element>; // [WEIGHT_GROUPS, columns]
@if(HAS_GATE)
@group(0) @binding(3) var<storage, read> gate: array<Element>; // [tokens, gate_stride]
@if(HAS_VALUES)
@group(0) @binding(4) var<storage, read> values: array<Element>; // [tokens, groups, columns]
@if(HAS_SKIP)
@group(0) @binding(5) var<storage, read> skip: array<f32>; // [groups * columns / run]
@group(0) @binding(6) var<storage, read_write> output: array<Element>; // [tokens, groups, columns]

// Where what a group takes begins.
struct Place {
  start: u32, // its columns
  channel: u32, // of its token
  weight: u32,
  gate: u32,
}

fn place_of(row: u32) -> Place {
  let token = row / GROUPS;
  let group = row % GROUPS;
  let gate = token * shape.gate_stride + shape.gate_start + group * shape.columns;
  let weight = group % WEIGHT_GROUPS * shape.columns;
  return Place(row * shape.columns, group * shape.columns, weight, gate);
}

fn gate_at(place: Place, column: u32) -> Element {
  @if(HAS_GATE) {
    @if(FOURS)
    return activate(gate[place.gate + column]);
    @else
    return activate(vec4f(gate[place.gate + column])).x;
  }
  @else
  return Element(1.0);
}

fn input_at(place: Place, column: u32) -> Element {
  var u = x[place.start + column];
  @if(HAS_VALUES)
  u += skip[(place.channel + column) / RUN] * values[place.start + column];
  @if(GATE_FIRST)
  u *= gate_at(place, column);
  return u;
}

fn output_of(place: Place, column: u32, u: Element, scale: f32) -> Element {
  var y = u;
  @if(HAS_WEIGHT)
  y *= scale * weight[place.weight + column];
  @if(!GATE_FIRST)
  y *= gate_at(place, column);
  return y;
}

@compute @workgroup_size(LANES * ROWS)
fn gated_rms_norm(lane: Lane) {
  let local = local_of(lane);
  let first = select(local.x, 0u, LANES == 1u); // the lane's first column
  let row = row_of(lane);
  let place = place_of(min(row, shape.rows - 1u));
  var scale = 1.0;
  var held: array<Element, HELD>;
  @if(HAS_WEIGHT) {
    var sum = Element();
    @if(IS_HELD) {
      @unroll for (var i = 0u; i < HELD; i++) {
        let column = first + i * LANES;
        if (WHOLE || column < shape.columns) {
          held[i] = input_at(place, column);
          sum += held[i] * held[i];
        }
      }
    }
    @if(!IS_HELD) {
      for (var column = first; column < shape.columns; column += LANES) {
        let u = input_at(place, column);
        sum += u * u;
      }
    }
    scale = inverseSqrt(sum_lanes(local, total(sum)) / f32(shape.width) + shape.epsilon);
  }
  @if(HAS_WEIGHT && IS_HELD) {
    @unroll for (var i = 0u; i < HELD; i++) {
      let column = first + i * LANES;
      if (WHOLE || column < shape.columns) {
        let y = output_of(place, column, held[i], scale);
        if (row < shape.rows) {
          output[place.start + column] = y;
        }
      }
    }
  }
  @if(!HAS_WEIGHT || !IS_HELD) {
    if (row >= shape.rows) {
      return;
    }
    for (var column = first; column < shape.columns; column += LANES) {
      output[place.start + column] = output_of(place, column, input_at(place, column), scale);
    }
  }
}
