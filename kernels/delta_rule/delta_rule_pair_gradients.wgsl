// Gradients of the pairs, from the output's gradient do and the update's y, with the update u:
//   QUERY_WRITE[i, j] = do[i] · u[j] for j ≤ i      READ_WRITE[i, j] = y[i] · u[j] for j < i
// and with LOW_RANK QUERY_KEY and READ_KEY likewise with the value v; in the diagonal's blocks 0 elsewhere.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per pair of blocks.

import package::delta_rule::blocks::shape;
import package::delta_rule::workspace::{pair_at, QUERY_KEY, QUERY_WRITE, READ_KEY, READ_WRITE, value_at};

override WORKGROUP_SIZE: u32 = 32u;

@group(0) @binding(1) var<storage, read> output_gradient: array<mat4x4f>; // [units, blocks, value_quads]
@group(0) @binding(2) var<storage, read> update_gradient: array<mat4x4f>; // [units, blocks, value_quads]
@group(0) @binding(3) var<storage, read> update: array<mat4x4f>; // [units, blocks, value_quads]
@if(LOW_RANK) @group(0) @binding(4) var<storage, read> value: array<mat4x4f>; // [units, blocks, value_quads]
@group(0) @binding(5) var<storage, read_write> pair_gradients: array<mat4x4f>; // [units, PAIRS, blocks, blocks]

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
fn delta_rule_pair_gradients(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = workgroup.z * WORKGROUP_SIZE + local.x;
  let later = index / shape.blocks;
  let earlier = index % shape.blocks;
  if (later >= shape.blocks || earlier > later) {
    return;
  }
  let unit = workgroup.x * shape.heads + workgroup.y;
  let readers = value_at(unit, later);
  let writers = value_at(unit, earlier);
  var query_write = mat4x4f();
  var read_write = mat4x4f();
  @if(LOW_RANK) var query_key = mat4x4f();
  @if(LOW_RANK) var read_key = mat4x4f();
  for (var quad = 0u; quad < shape.value_quads; quad++) {
    let o = output_gradient[readers + quad];
    let y = update_gradient[readers + quad];
    let u = transpose(update[writers + quad]);
    query_write += u * o;
    read_write += u * y;
    @if(LOW_RANK) {
      let v = transpose(value[writers + quad]);
      query_key += v * o;
      read_key += v * y;
    }
  }
  let diagonal = earlier == later;
  pair_gradients[pair_at(unit, QUERY_WRITE, later, earlier)] = seen(query_write, diagonal, false);
  pair_gradients[pair_at(unit, READ_WRITE, later, earlier)] = seen(read_write, diagonal, true);
  @if(LOW_RANK) {
    pair_gradients[pair_at(unit, QUERY_KEY, later, earlier)] = seen(query_key, diagonal, false);
    pair_gradients[pair_at(unit, READ_KEY, later, earlier)] = seen(read_key, diagonal, true);
  }
}
