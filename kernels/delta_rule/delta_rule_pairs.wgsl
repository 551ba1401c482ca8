// How the rows of a block see those of an earlier block of the chunk, channels summed:
//   pair[i, j] = Σ_d reader[i] * D(j, i) * writer[j]
// D is the decay after row j through row i (of a read row with LOW_RANK: before row i), as a product of
// three: to the end of j's block, between the blocks, from the start of i's. With one decay per head it
// is multiplied by after the sum. The blocks on the diagonal are delta_rule_diagonal_pairs'.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per pair of blocks.

import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::delta_rule::blocks::{after_rows, before_rows, scaled, shape, through_rows, times, times_row};
import package::delta_rule::pair_sums::{Pairs, store_pairs};
import package::delta_rule::units::unit_of;
import package::delta_rule::workspace::{decay_at, KEY, panel_at, QUERY, READ, span_at, WRITE};

@group(0) @binding(1) var<storage, read> panels: array<mat4x4f>; // [units, PANELS, blocks, key_quads]
@if(DECAYED) @group(0) @binding(2) var<storage, read> decays: array<mat4x4f>; // [units, blocks, decay_quads]
@if(DECAYED) @group(0) @binding(3) var<storage, read> spans: array<vec4f>; // [units, borders, borders, decay_quads]

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_pairs(invocation: Invocation) {
  // Pairs of an earlier and a later block, in the order (0, 1), (0, 2), (1, 2), (0, 3), …
  let unit = unit_of(invocation);
  let later = u32(0.501 + sqrt(f32(2u * unit.item) + 0.25));
  let earlier = unit.item - later * (later - 1u) / 2u;
  if (later >= shape.blocks) {
    return;
  }
  let queries = panel_at(unit.number, QUERY, later);
  let reads = panel_at(unit.number, READ, later);
  let writes = panel_at(unit.number, WRITE, earlier);
  @if(LOW_RANK) let keys = panel_at(unit.number, KEY, earlier);
  var sums = Pairs();
  for (var d = 0u; d < shape.key_quads; d++) {
    var q = panels[queries + d];
    var a = panels[reads + d];
    var b = panels[writes + d];
    @if(LOW_RANK) var k = panels[keys + d];
    @if(PER_CHANNEL) {
      let decay = decays[decay_at(unit.number, later, d)];
      let after = times_row(
        after_rows(decays[decay_at(unit.number, earlier, d)]),
        spans[span_at(unit.number, earlier + 1u, later, d)],
      );
      q = times(q, through_rows(decay));
      @if(LOW_RANK) a = times(a, before_rows(decay));
      @else a = times(a, through_rows(decay));
      b = times(b, after);
      @if(LOW_RANK) k = times(k, after);
    }
    sums.query_write += transpose(b) * q;
    sums.read_write += transpose(b) * a;
    @if(LOW_RANK) {
      sums.query_key += transpose(k) * q;
      sums.read_key += transpose(k) * a;
    }
  }
  @if(DECAYED && !PER_CHANNEL) {
    let through = transpose(through_rows(decays[decay_at(unit.number, later, 0u)]))[0];
    let after = transpose(after_rows(decays[decay_at(unit.number, earlier, 0u)]))[0] *
      spans[span_at(unit.number, earlier + 1u, later, 0u)];
    sums.query_write = scaled(times_row(sums.query_write, after), through);
    sums.read_write = scaled(times_row(sums.read_write, after), through);
  }
  store_pairs(unit.number, later, earlier, sums);
}
