// Gradients of the pairs, from the output's gradient do and the update's y, with the update u:
//   QUERY_WRITE[i, j] = do[i] · u[j] for j ≤ i      READ_WRITE[i, j] = y[i] · u[j] for j < i
// and with LOW_RANK QUERY_KEY and READ_KEY likewise with the value v; in the diagonal's blocks 0 elsewhere.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per pair of blocks.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::delta_rule::blocks::shape;
import package::delta_rule::pair_sums::{Pairs, store_pairs};
import package::delta_rule::units::unit_of;
import package::delta_rule::workspace::value_at;

@group(0) @binding(1) var<storage, read> output_gradient: array<mat4x4f>; // [units, blocks, value_quads]
@group(0) @binding(2) var<storage, read> update_gradient: array<mat4x4f>; // [units, blocks, value_quads]
@group(0) @binding(3) var<storage, read> update: array<mat4x4f>; // [units, blocks, value_quads]
@if(LOW_RANK) @group(0) @binding(4) var<storage, read> value: array<mat4x4f>; // [units, blocks, value_quads]

// Without what a row does not see: what comes after it, and with `strict` itself.
fn seen(pairs: mat4x4f, diagonal: bool, strict: bool) -> mat4x4f {
  var result = pairs;
  if (diagonal) {
    @unroll for (var r = 0u; r < 4u; r++) {
      let last = select(r + 1u, r, strict);
      result[r] = select(vec4f(), pairs[r], vec4u(0u, 1u, 2u, 3u) < vec4u(last));
    }
  }
  return result;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_pair_gradients(invocation: Invocation) {
  let unit = unit_of(invocation);
  let later = unit.item / shape.blocks;
  let earlier = unit.item % shape.blocks;
  if (later >= shape.blocks || earlier > later) {
    return;
  }
  let readers = value_at(unit.number, later);
  let writers = value_at(unit.number, earlier);
  var sums = Pairs();
  for (var quad = 0u; quad < shape.value_quads; quad++) {
    let o = output_gradient[readers + quad];
    let y = update_gradient[readers + quad];
    let u = transpose(update[writers + quad]);
    sums.query_write += u * o;
    sums.read_write += u * y;
    @if(LOW_RANK) {
      let v = transpose(value[writers + quad]);
      sums.query_key += v * o;
      sums.read_key += v * y;
    }
  }
  let diagonal = earlier == later;
  sums.query_write = seen(sums.query_write, diagonal, false);
  sums.read_write = seen(sums.read_write, diagonal, true);
  @if(LOW_RANK) sums.query_key = seen(sums.query_key, diagonal, false);
  @if(LOW_RANK) sums.read_key = seen(sums.read_key, diagonal, true);
  store_pairs(unit.number, later, earlier, sums);
}
