// How the rows of a block see those of another, or the gradients of that, a sum for each kind of pair.

import package::delta_rule::workspace::{pair_at, QUERY_KEY, QUERY_WRITE, READ_KEY, READ_WRITE};

struct Pairs {
  query_write: mat4x4f,
  read_write: mat4x4f,
  @if(LOW_RANK) query_key: mat4x4f,
  @if(LOW_RANK) read_key: mat4x4f,
}

@group(0) @binding(5) var<storage, read_write> pairs: array<mat4x4f>; // [units, PAIRS, blocks, blocks]

fn store_pairs(unit: u32, reader: u32, writer: u32, sums: Pairs) {
  pairs[pair_at(unit, QUERY_WRITE, reader, writer)] = sums.query_write;
  pairs[pair_at(unit, READ_WRITE, reader, writer)] = sums.read_write;
  @if(LOW_RANK) pairs[pair_at(unit, QUERY_KEY, reader, writer)] = sums.query_key;
  @if(LOW_RANK) pairs[pair_at(unit, READ_KEY, reader, writer)] = sums.read_key;
}
