// Which chunk and head an invocation has, and which item of it: a unit is a chunk and head.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per item.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::delta_rule::blocks::shape;

struct Chunk {
  first: u32, // row
  rows: u32,
  slot: u32, // of the state at its start; the next is that at its end
  unused: u32,
}

@group(0) @binding(1) var<storage, read> chunks: array<Chunk>; // [chunks]

struct Unit {
  chunk: u32,
  head: u32,
  number: u32, // of all units
  item: u32, // of the invocation
}

fn unit_of(invocation: Invocation) -> Unit {
  let chunk = invocation.workgroup.x;
  let head = invocation.workgroup.y;
  let item = invocation.workgroup.z * WORKGROUP_SIZE + invocation.local;
  return Unit(chunk, head, chunk * shape.heads + head, item);
}
