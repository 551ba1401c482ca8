// o[i] = QUERY_IN[i] S + Σ_{j ≤ i} QUERY_WRITE[i, j] u[j], with LOW_RANK + Σ_{j ≤ i} QUERY_KEY[i, j] v[j],
// for each chunk: S is the state at its start, u its update.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per quad of columns.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::delta_rule::blocks::shape;
import package::delta_rule::state_products::{from_slot, multiply_slot, pairs};
import package::delta_rule::triangles::lower_times;
import package::delta_rule::units::{chunks, unit_of};
import package::delta_rule::value_rows::store_rows;
import package::delta_rule::workspace::{pair_at, QUERY_IN, QUERY_KEY, QUERY_WRITE, value_at};

@group(0) @binding(4) var<storage, read> update: array<mat4x4f>; // [units, blocks, value_quads]
@if(LOW_RANK) @group(0) @binding(5) var<storage, read> value: array<mat4x4f>; // [units, blocks, value_quads]

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_outputs(invocation: Invocation) {
  let unit = unit_of(invocation);
  let quad = unit.item;
  if (quad >= shape.value_quads) {
    return;
  }
  let chunk = chunks[unit.chunk];
  multiply_slot(unit, QUERY_IN, chunk.slot);
  for (var i = 0u; i < shape.blocks; i++) {
    let own = value_at(unit.number, i) + quad;
    var sum = from_slot[own];
    for (var j = 0u; j < i; j++) {
      sum += update[value_at(unit.number, j) + quad] * pairs[pair_at(unit.number, QUERY_WRITE, i, j)];
      @if(LOW_RANK) sum += value[value_at(unit.number, j) + quad] * pairs[pair_at(unit.number, QUERY_KEY, i, j)];
    }
    sum += lower_times(update[own], pairs[pair_at(unit.number, QUERY_WRITE, i, i)]);
    @if(LOW_RANK) sum += lower_times(value[own], pairs[pair_at(unit.number, QUERY_KEY, i, i)]);
    store_rows(chunk.first + 4u * i, chunk.first + chunk.rows, unit.head, quad, sum);
  }
}
