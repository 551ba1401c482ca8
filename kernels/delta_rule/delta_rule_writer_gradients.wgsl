// The gradients of write rows, or with OF_KEY of keys, in place of those of the rows decayed to the
// chunk's end. x is carried back over the later blocks,
//   x[j] = D(block) * x[j] + Σ_i pair_gradient[i, j] * (reader[i] decayed from its block's start),
// decayed to row j, and gets the parts of the later rows of its own block. Readers are queries and
// read rows.
// On the way it leaves its parts of the decay's gradient (README.md): by rows, what the row's block
// wrote before the row and is read after the block; by blocks, what was written before a block and is
// read after the chunk. The write rows' dispatch is the first to put anything there but
// delta_rule_over_chunk's.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per quad of channels.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::delta_rule::blocks::{
  after_rows, before_rows, shape, sum_of_rows, through_rows, times, times_row,
};
import package::delta_rule::carried_gradients::{pair_gradients, panel_gradients, panels};
@if(DECAYED) import package::delta_rule::carried_gradients::{carried, decay_gradients, decays, spans};
import package::delta_rule::units::unit_of;
import package::delta_rule::workspace::{
  carried_at, decay_at, KEY, pair_at, panel_at, panel_gradient_at, QUERY, QUERY_KEY, QUERY_WRITE, READ,
  READ_KEY, READ_WRITE, span_at, WRITE,
};

@if(OF_KEY) const WRITER = KEY;
@else const WRITER = WRITE;
@if(OF_KEY) const QUERY_PAIR = QUERY_KEY;
@else const QUERY_PAIR = QUERY_WRITE;
@if(OF_KEY) const READ_PAIR = READ_KEY;
@else const READ_PAIR = READ_WRITE;

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_writer_gradients(invocation: Invocation) {
  let unit = unit_of(invocation);
  let quad = unit.item;
  if (quad >= shape.key_quads) {
    return;
  }
  // What was written before the block, read after the chunk: a key begins with nothing, as what was there
  // before the chunk counts once.
  @if(OF_KEY) var read_after = vec4f();
  @elif(DECAYED) var read_after = carried[carried_at(unit.number, 0u) + quad];
  for (var block = 0u; block < shape.blocks; block++) {
    let own = panel_gradient_at(unit.number, WRITER, block) + quad;
    var x = panel_gradients[own];
    @if(DECAYED) let written = panels[panel_at(unit.number, WRITER, block) + quad];
    @if(DECAYED) let decay = decays[decay_at(unit.number, block, quad)];
    @if(DECAYED) let after = after_rows(decay);
    @if(DECAYED) let at = carried_at(unit.number, block) + quad;
    @if(DECAYED) {
      let from_here = read_after * spans[span_at(unit.number, block + 1u, shape.blocks, quad)];
      @if(OF_KEY) carried[at] += from_here;
      @else carried[at] = from_here;
      read_after = read_after * spans[span_at(unit.number, block, block + 1u, quad)] +
        sum_of_rows(times(times(written, after), x));
    }
    for (var later = shape.blocks - 1u; later > block; later--) {
      var q = panels[panel_at(unit.number, QUERY, later) + quad];
      var a = panels[panel_at(unit.number, READ, later) + quad];
      @if(DECAYED) {
        let later_decay = decays[decay_at(unit.number, later, quad)];
        let through = through_rows(later_decay);
        q = times(q, through);
        @if(LOW_RANK) a = times(a, before_rows(later_decay));
        @else a = times(a, through);
        x = times_row(x, spans[span_at(unit.number, later, later + 1u, quad)]);
      }
      x += q * transpose(pair_gradients[pair_at(unit.number, QUERY_PAIR, later, block)]);
      x += a * transpose(pair_gradients[pair_at(unit.number, READ_PAIR, later, block)]);
    }
    // The own block, rows backwards; readers so far are decayed to the end of row j.
    let from_queries = transpose(pair_gradients[pair_at(unit.number, QUERY_PAIR, block, block)]);
    let from_reads = transpose(pair_gradients[pair_at(unit.number, READ_PAIR, block, block)]);
    let q = panels[panel_at(unit.number, QUERY, block) + quad];
    let a = panels[panel_at(unit.number, READ, block) + quad];
    var queries = mat4x4f();
    var reads = mat4x4f();
    @if(DECAYED) x = times(x, after);
    @if(DECAYED) var gradients = mat4x4f();
    @unroll for (var back = 0u; back < 4u; back++) {
      const j = 3u - back;
      // What row j wrote passes the decays of the rows after it.
      @if(DECAYED) @unroll for (var t = 4u - back; t < 4u; t++) {
        gradients[t] += written[j] * x[j];
      }
      queries[j] = q[j];
      x[j] += queries * from_queries[j] + reads * from_reads[j];
      @if(!LOW_RANK) reads[j] = a[j];
      @if(DECAYED) queries = times_row(queries, decay[j]);
      @if(DECAYED) reads = times_row(reads, decay[j]);
      @if(LOW_RANK) reads[j] = a[j];
    }
    panel_gradients[own] = x;
    @if(DECAYED && OF_KEY) decay_gradients[at] += gradients;
    @if(DECAYED && !OF_KEY) decay_gradients[at] = gradients;
  }
}
