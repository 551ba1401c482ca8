// Where things lie in the workspace of a span of chunks. A unit is a chunk and head; all is in blocks.
//   panels           [units, PANELS, blocks, key_quads]   the rows of ROWS kinds, and decayed ones
//   panel_gradients  [units, ROWS, blocks, key_quads]     by the same kinds
//   pairs            [units, PAIRS, blocks, blocks]       how rows that read see rows that write
//   decays           [units, blocks, decay_quads]         of each row
//   spans            [units, borders, borders, decay_quads] of vec4f, from one border of blocks to a later one
//   decay_gradients  [units, blocks, key_quads]           by rows;  carried: of vec4f, by blocks
//   value, update, … [units, blocks, value_quads]
//   states           [slots, heads, key_quads, value_quads]
// With one decay per head, decays and spans have a single quad, of four equal numbers.

import package::delta_rule::blocks::shape;

// Kinds of rows: a query reads the state after the token's update, a read row before it; the update is
// written along the write row, and with LOW_RANK the value along the key.
const QUERY = 0u;
const READ = 1u;
const WRITE = 2u;
const KEY = 3u;
@if(LOW_RANK) const ROWS = 4u;
@else const ROWS = 3u;

// Queries and read rows decayed from the chunk's start, write rows and keys to its end.
@if(DECAYED) const QUERY_IN = ROWS + QUERY;
@else const QUERY_IN = QUERY;
@if(DECAYED) const READ_IN = ROWS + READ;
@else const READ_IN = READ;
@if(DECAYED) const WRITE_OUT = ROWS + WRITE;
@else const WRITE_OUT = WRITE;
const KEY_OUT = ROWS + KEY;
@if(DECAYED) const PANELS = 2u * ROWS;
@else const PANELS = ROWS;

// Kinds of pairs: query or read row, with write row or key.
const QUERY_WRITE = 0u;
const READ_WRITE = 1u;
const QUERY_KEY = 2u;
const READ_KEY = 3u;
@if(LOW_RANK) const PAIRS = 4u;
@else const PAIRS = 2u;

fn panel_at(unit: u32, plane: u32, block: u32) -> u32 {
  return ((unit * PANELS + plane) * shape.blocks + block) * shape.key_quads;
}

fn panel_gradient_at(unit: u32, plane: u32, block: u32) -> u32 {
  return ((unit * ROWS + plane) * shape.blocks + block) * shape.key_quads;
}

fn carried_at(unit: u32, block: u32) -> u32 {
  return (unit * shape.blocks + block) * shape.key_quads;
}

fn pair_at(unit: u32, plane: u32, reader: u32, writer: u32) -> u32 {
  return ((unit * PAIRS + plane) * shape.blocks + reader) * shape.blocks + writer;
}

fn value_at(unit: u32, block: u32) -> u32 {
  return (unit * shape.blocks + block) * shape.value_quads;
}

fn state_at(slot: u32, head: u32, quad: u32) -> u32 {
  return ((slot * shape.heads + head) * shape.key_quads + quad) * shape.value_quads;
}

fn decay_at(unit: u32, block: u32, quad: u32) -> u32 {
  @if(PER_CHANNEL) return (unit * shape.blocks + block) * shape.key_quads + quad;
  @else return unit * shape.blocks + block;
}

fn span_at(unit: u32, begin: u32, end: u32, quad: u32) -> u32 {
  let borders = shape.blocks + 1u;
  let span = (unit * borders + begin) * borders + end;
  @if(PER_CHANNEL) return span * shape.key_quads + quad;
  @else return span;
}
