// The log decay's gradient of a row: what begins or ends in its block (`decay_gradients`), and what
// reaches over the block (`carried`), on which the whole block's decay acts. For one decay per head it
// is summed over channels.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per block of four rows and, with
// PER_CHANNEL, quad of channels.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::delta_rule::blocks::shape;
import package::delta_rule::units::{chunks, unit_of};
import package::delta_rule::workspace::{carried_at, span_at};

@group(0) @binding(2) var<storage, read> spans: array<vec4f>; // [units, borders, borders, decay_quads]
@group(0) @binding(3) var<storage, read> decay_gradients: array<mat4x4f>; // [units, blocks, key_quads]
@group(0) @binding(4) var<storage, read> carried: array<vec4f>; // [units, blocks, key_quads]
@group(0) @binding(5) var<storage, read_write> log_decay_gradient: array<f32>; // [rows, heads(, key_dim)]

// Of four rows of a block and four channels.
fn whole(unit: u32, block: u32, quad: u32) -> mat4x4f {
  let at = carried_at(unit, block) + quad;
  let over = carried[at] * spans[span_at(unit, block, block + 1u, quad)];
  return decay_gradients[at] + mat4x4f(over, over, over, over);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_decay_gradient(invocation: Invocation) {
  let unit = unit_of(invocation);
  @if(PER_CHANNEL) let quads = shape.key_quads;
  @else let quads = 1u;
  let block = unit.item / quads;
  if (block >= shape.blocks) {
    return;
  }
  let chunk = chunks[unit.chunk];
  @if(PER_CHANNEL) let gradients = whole(unit.number, block, unit.item % quads);
  @else var gradients = mat4x4f();
  @if(!PER_CHANNEL) for (var quad = 0u; quad < shape.key_quads; quad++) {
    gradients += whole(unit.number, block, quad);
  }
  @unroll for (var r = 0u; r < 4u; r++) {
    let row = 4u * block + r;
    if (row < chunk.rows) {
      let entry = (chunk.first + row) * shape.heads + unit.head;
      @if(PER_CHANNEL) @unroll for (var c = 0u; c < 4u; c++) {
        let channel = 4u * (unit.item % quads) + c;
        if (channel < shape.key_dim) {
          log_decay_gradient[entry * shape.key_dim + channel] = gradients[r][c];
        }
      }
      @if(!PER_CHANNEL) log_decay_gradient[entry] = dot(gradients[r], vec4f(1.0));
    }
  }
}
