// Gradients of key-like rows from the workspace into the order of the sequence, summed over the heads
// that share a key head: those of one kind of rows, queries times the scale; or with OF_DELTA_KEY those
// of the delta rule's key, as READ = -k and WRITE = beta * k.
// Dispatch: x = chunks, y = key heads, z = groups of invocations, one per block of four rows and quad.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::delta_rule::blocks::shape;
import package::delta_rule::units::{chunks, unit_of};
import package::delta_rule::workspace::{panel_gradient_at, QUERY, READ, WRITE};

@group(0) @binding(2) var<storage, read> panel_gradients: array<mat4x4f>; // [units, ROWS, blocks, key_quads]
@if(OF_DELTA_KEY) @group(0) @binding(3) var<storage, read> beta: array<f32>; // [rows, heads]
@group(0) @binding(4) var<storage, read_write> gradient: array<f32>; // [rows, key_heads, key_dim]

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_scatter_keys(invocation: Invocation) {
  let unit = unit_of(invocation);
  let block = unit.item / shape.key_quads;
  let quad = unit.item % shape.key_quads;
  if (block >= shape.blocks) {
    return;
  }
  let chunk = chunks[unit.chunk];
  let key_head = unit.head;
  let factor = select(1.0, shape.scale, shape.plane == QUERY);
  let group = shape.heads / shape.key_heads;
  @unroll for (var r = 0u; r < 4u; r++) {
    if (4u * block + r < chunk.rows) {
      let row = chunk.first + 4u * block + r;
      var sum = vec4f();
      for (var head = key_head * group; head < (key_head + 1u) * group; head++) {
        let of_head = unit.chunk * shape.heads + head;
        @if(OF_DELTA_KEY) sum += beta[row * shape.heads + head] *
          panel_gradients[panel_gradient_at(of_head, WRITE, block) + quad][r] -
          panel_gradients[panel_gradient_at(of_head, READ, block) + quad][r];
        @else sum += factor * panel_gradients[panel_gradient_at(of_head, shape.plane, block) + quad][r];
      }
      @unroll for (var c = 0u; c < 4u; c++) {
        if (4u * quad + c < shape.key_dim) {
          gradient[(row * shape.key_heads + key_head) * shape.key_dim + 4u * quad + c] = sum[c];
        }
      }
    }
  }
}
