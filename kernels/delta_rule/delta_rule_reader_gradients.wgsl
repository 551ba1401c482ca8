// The gradients of queries, or with OF_READ of read rows, in place of those of the rows decayed from
// the chunk's start. x is carried over the earlier blocks,
//   x[i] = D(block) * x[i] + Σ_j pair_gradient[i, j] * (writer[j] decayed to its block's end),
// decayed to row i, and gets the parts of the earlier rows of its own block. Writers are write rows
// and, with LOW_RANK, keys.
// On the way it adds to the decay's gradient (README.md): by rows, what was written before a row and
// is read by its block from the row on; by blocks, what was written before one and is read after it.
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

@if(OF_READ) const READER = READ;
@else const READER = QUERY;
@if(OF_READ) const WRITE_PAIR = READ_WRITE;
@else const WRITE_PAIR = QUERY_WRITE;
@if(LOW_RANK && OF_READ) const KEY_PAIR = READ_KEY;
@if(LOW_RANK && !OF_READ) const KEY_PAIR = QUERY_KEY;
// The decays that act on what a reader at row i reads are those up to row i - 1 + OWN.
@if(LOW_RANK && OF_READ) const OWN = 0u;
@else const OWN = 1u;

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_reader_gradients(invocation: Invocation) {
  let unit = unit_of(invocation);
  let quad = unit.item;
  if (quad >= shape.key_quads) {
    return;
  }
  for (var block = 0u; block < shape.blocks; block++) {
    let own = panel_gradient_at(unit.number, READER, block) + quad;
    var x = panel_gradients[own];
    @if(DECAYED) let reader = panels[panel_at(unit.number, READER, block) + quad];
    @if(DECAYED) let decay = decays[decay_at(unit.number, block, quad)];
    @if(LOW_RANK && OF_READ) let until = before_rows(decay);
    @elif(DECAYED) let until = through_rows(decay);
    @if(DECAYED) let decayed = times(reader, until);
    for (var earlier = 0u; earlier < block; earlier++) {
      var b = panels[panel_at(unit.number, WRITE, earlier) + quad];
      @if(LOW_RANK) var k = panels[panel_at(unit.number, KEY, earlier) + quad];
      @if(DECAYED) {
        let after = after_rows(decays[decay_at(unit.number, earlier, quad)]);
        b = times(b, after);
        @if(LOW_RANK) k = times(k, after);
        let between = spans[span_at(unit.number, earlier + 1u, block, quad)];
        let at = carried_at(unit.number, earlier) + quad;
        carried[at] += between * sum_of_rows(times(decayed, x));
        x = times_row(x, spans[span_at(unit.number, earlier, earlier + 1u, quad)]);
      }
      x += b * pair_gradients[pair_at(unit.number, WRITE_PAIR, block, earlier)];
      @if(LOW_RANK) x += k * pair_gradients[pair_at(unit.number, KEY_PAIR, block, earlier)];
    }
    // The own block, rows forwards; what was written so far is decayed to where row i reads.
    let of_write = pair_gradients[pair_at(unit.number, WRITE_PAIR, block, block)];
    let b = panels[panel_at(unit.number, WRITE, block) + quad];
    var written = mat4x4f();
    @if(LOW_RANK) let of_key = pair_gradients[pair_at(unit.number, KEY_PAIR, block, block)];
    @if(LOW_RANK) let k = panels[panel_at(unit.number, KEY, block) + quad];
    @if(LOW_RANK) var stored = mat4x4f();
    @if(DECAYED) let at = carried_at(unit.number, block) + quad;
    @if(DECAYED) var gradients = decay_gradients[at];
    @if(DECAYED) x = times(x, until);
    @unroll for (var i = 0u; i < 4u; i++) {
      @if(DECAYED && !(LOW_RANK && OF_READ)) written = times_row(written, decay[i]);
      @if(LOW_RANK && !OF_READ) stored = times_row(stored, decay[i]);
      @if(!OF_READ) written[i] = b[i];
      @if(LOW_RANK && !OF_READ) stored[i] = k[i];
      // Decays of rows t ≤ i act on what x[i] has when it comes to t: all that was written before t.
      @unroll for (var t = 0u; t < i + OWN; t++) {
        @if(DECAYED) gradients[t] += reader[i] * x[i];
        x[i] += written[t] * of_write[i][t];
        @if(LOW_RANK) x[i] += stored[t] * of_key[i][t];
      }
      @if(LOW_RANK && OF_READ) written = times_row(written, decay[i]);
      @if(LOW_RANK && OF_READ) stored = times_row(stored, decay[i]);
      @if(OF_READ) written[i] = b[i];
      @if(LOW_RANK && OF_READ) stored[i] = k[i];
    }
    panel_gradients[own] = x;
    @if(DECAYED) decay_gradients[at] = gradients;
  }
}
