// With LOW_RANK, for each chunk:
//   dv[j] = KEY_OUT[j] G + Σ_{i ≥ j} QUERY_KEY[i, j] do[i] + Σ_{i > j} READ_KEY[i, j] y[i]
// do is the output's gradient, y the update's, G that of the state at the chunk's end.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per quad of columns.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::delta_rule::blocks::shape;
import package::delta_rule::state_products::{from_slot, multiply_slot, pairs};
import package::delta_rule::triangles::{lower_transposed_times, strictly_lower_transposed_times};
import package::delta_rule::units::{chunks, unit_of};
import package::delta_rule::value_rows::store_rows;
import package::delta_rule::workspace::{KEY_OUT, pair_at, QUERY_KEY, READ_KEY, value_at};

@group(0) @binding(4) var<storage, read> output_gradient: array<mat4x4f>; // [units, blocks, value_quads]
@group(0) @binding(5) var<storage, read> update_gradient: array<mat4x4f>; // [units, blocks, value_quads]

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_value_gradients(invocation: Invocation) {
  let unit = unit_of(invocation);
  let quad = unit.item;
  if (quad >= shape.value_quads) {
    return;
  }
  let chunk = chunks[unit.chunk];
  multiply_slot(unit, KEY_OUT, chunk.slot + 1u); // the state's gradient at the chunk's end
  for (var j = 0u; j < shape.blocks; j++) {
    let own = value_at(unit.number, j) + quad;
    var sum = from_slot[own];
    sum += lower_transposed_times(output_gradient[own], pairs[pair_at(unit.number, QUERY_KEY, j, j)]);
    sum += strictly_lower_transposed_times(update_gradient[own], pairs[pair_at(unit.number, READ_KEY, j, j)]);
    for (var i = j + 1u; i < shape.blocks; i++) {
      let later = value_at(unit.number, i) + quad;
      sum += output_gradient[later] * transpose(pairs[pair_at(unit.number, QUERY_KEY, i, j)]);
      sum += update_gradient[later] * transpose(pairs[pair_at(unit.number, READ_KEY, i, j)]);
    }
    store_rows(chunk.first + 4u * j, chunk.first + chunk.rows, unit.head, quad, sum);
  }
}
