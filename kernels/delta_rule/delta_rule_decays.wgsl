// Decays of a chunk and head, in blocks of four rows:
//   decays[block][row] = exp(log decay of the row), 1 past the chunk's end;
//   spans[m][n] = exp(sum of the log decays from border m of the blocks to border n), n ≥ m.
// Each exponent is a sum over the very span that decays; none is a difference.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per border and quad of channels.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::delta_rule::blocks::shape;
import package::common::exponential::exponential_quad;
import package::delta_rule::units::{chunks, unit_of};
import package::delta_rule::workspace::{decay_at, span_at};

@group(0) @binding(2) var<storage, read> log_decay: array<f32>; // [rows, heads(, key_dim)]
@group(0) @binding(3) var<storage, read_write> decays: array<mat4x4f>; // [units, blocks, decay_quads]
@group(0) @binding(4) var<storage, read_write> spans: array<vec4f>; // [units, borders, borders, decay_quads]

// 0 past the last channel.
fn log_decay_quad(entry: u32, quad: u32) -> vec4f {
  @if(PER_CHANNEL) {
    let i = entry * shape.key_dim + 4u * quad;
    let valid = 4u * quad + vec4u(0u, 1u, 2u, 3u) < vec4u(shape.key_dim);
    return select(
      vec4f(),
      vec4f(log_decay[i], log_decay[i + 1u], log_decay[i + 2u], log_decay[i + 3u]),
      valid,
    );
  } @else {
    return vec4f(log_decay[entry]);
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_decays(invocation: Invocation) {
  let unit = unit_of(invocation);
  @if(PER_CHANNEL) let quads = shape.key_quads;
  @else let quads = 1u;
  let begin = unit.item / quads;
  let quad = unit.item % quads;
  if (begin > shape.blocks) {
    return;
  }
  let chunk = chunks[unit.chunk];
  var sum = vec4f();
  spans[span_at(unit.number, begin, begin, quad)] = vec4f(1.0);
  for (var block = begin; block < shape.blocks; block++) {
    var rows = mat4x4f();
    @unroll for (var r = 0u; r < 4u; r++) {
      let row = 4u * block + r;
      if (row < chunk.rows) {
        rows[r] = log_decay_quad((chunk.first + row) * shape.heads + unit.head, quad);
      }
      sum += rows[r];
    }
    if (block == begin) {
      decays[decay_at(unit.number, block, quad)] = mat4x4f(
        exponential_quad(rows[0]),
        exponential_quad(rows[1]),
        exponential_quad(rows[2]),
        exponential_quad(rows[3]),
      );
    }
    spans[span_at(unit.number, begin, block + 1u, quad)] = exponential_quad(sum);
  }
}
