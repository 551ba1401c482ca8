// How the rows of a block see one another, channels summed:
//   pair[i, j] = Σ_d reader[i] * D(j, i) * writer[j], for queries j ≤ i, for read rows j < i, else 0
// D is the decay after row j through row i (of a read row with LOW_RANK: before row i). The rows walk
// forwards, and what was written is decayed along, as in the recurrence itself.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per block.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::delta_rule::blocks::{shape, times_row};
import package::delta_rule::pair_sums::{Pairs, store_pairs};
import package::delta_rule::units::unit_of;
import package::delta_rule::workspace::{decay_at, KEY, panel_at, QUERY, READ, WRITE};

@group(0) @binding(1) var<storage, read> panels: array<mat4x4f>; // [units, PANELS, blocks, key_quads]
@if(DECAYED) @group(0) @binding(2) var<storage, read> decays: array<mat4x4f>; // [units, blocks, decay_quads]

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_diagonal_pairs(invocation: Invocation) {
  let unit = unit_of(invocation);
  let block = unit.item;
  if (block >= shape.blocks) {
    return;
  }
  let queries = panel_at(unit.number, QUERY, block);
  let reads = panel_at(unit.number, READ, block);
  let writes = panel_at(unit.number, WRITE, block);
  @if(LOW_RANK) let keys = panel_at(unit.number, KEY, block);
  var sums = Pairs();
  for (var d = 0u; d < shape.key_quads; d++) {
    let q = panels[queries + d];
    let a = panels[reads + d];
    let b = panels[writes + d];
    @if(LOW_RANK) let k = panels[keys + d];
    @if(PER_CHANNEL) let decay = decays[decay_at(unit.number, block, d)];
    var written = mat4x4f(); // write rows so far, decayed to row r
    @if(LOW_RANK) var stored = mat4x4f(); // keys so far, likewise
    @unroll for (var r = 0u; r < 4u; r++) {
      @if(LOW_RANK) {
        sums.read_write[r] += a[r] * written;
        sums.read_key[r] += a[r] * stored;
        stored = times_row(stored, decay[r]);
        stored[r] = k[r];
        sums.query_key[r] += q[r] * stored;
      }
      @if(PER_CHANNEL) written = times_row(written, decay[r]);
      @if(!LOW_RANK) sums.read_write[r] += a[r] * written;
      written[r] = b[r];
      sums.query_write[r] += q[r] * written;
    }
  }
  @if(DECAYED && !PER_CHANNEL) {
    let decay = decays[decay_at(unit.number, block, 0u)];
    var factors = vec4f();
    @unroll for (var r = 0u; r < 4u; r++) {
      factors *= decay[r];
      factors[r] = 1.0;
      sums.query_write[r] *= factors;
      sums.read_write[r] *= factors;
    }
  }
  store_pairs(unit.number, block, block, sums);
}
