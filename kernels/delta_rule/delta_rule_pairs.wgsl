// How the rows of a block see those of an earlier block of the chunk, channels summed:
//   pair[i, j] = Σ_d reader[i] * D(j, i) * writer[j]
// D is the decay after row j through row i (of a read row with LOW_RANK: before row i), as a product of
// three: to the end of j's block, between the blocks, from the start of i's. With one decay per head it
// is multiplied by after the sum. The blocks on the diagonal are delta_rule_diagonal_pairs'.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per pair of blocks.

import package::delta_rule::blocks::{
  after_rows, before_rows, scaled, shape, through_rows, times, times_row,
};
import package::delta_rule::workspace::{
  decay_at, KEY, pair_at, panel_at, QUERY, QUERY_KEY, QUERY_WRITE, READ, READ_KEY, READ_WRITE, span_at,
  WRITE,
};

override WORKGROUP_SIZE: u32 = 32u;

@group(0) @binding(1) var<storage, read> panels: array<mat4x4f>; // [units, PANELS, blocks, key_quads]
@if(DECAYED) @group(0) @binding(2) var<storage, read> decays: array<mat4x4f>; // [units, blocks, decay_quads]
@if(DECAYED) @group(0) @binding(3) var<storage, read> spans: array<vec4f>; // [units, borders, borders, decay_quads]
@group(0) @binding(4) var<storage, read_write> pairs: array<mat4x4f>; // [units, PAIRS, blocks, blocks]

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_pairs(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  // Pairs of an earlier and a later block, in the order (0, 1), (0, 2), (1, 2), (0, 3), …
  let index = workgroup.z * WORKGROUP_SIZE + local.x;
  let later = u32(0.501 + sqrt(f32(2u * index) + 0.25));
  let earlier = index - later * (later - 1u) / 2u;
  if (later >= shape.blocks) {
    return;
  }
  let unit = workgroup.x * shape.heads + workgroup.y;
  let queries = panel_at(unit, QUERY, later);
  let reads = panel_at(unit, READ, later);
  let writes = panel_at(unit, WRITE, earlier);
  @if(LOW_RANK) let keys = panel_at(unit, KEY, earlier);
  var query_write = mat4x4f();
  var read_write = mat4x4f();
  @if(LOW_RANK) var query_key = mat4x4f();
  @if(LOW_RANK) var read_key = mat4x4f();
  for (var d = 0u; d < shape.key_quads; d++) {
    var q = panels[queries + d];
    var a = panels[reads + d];
    var b = panels[writes + d];
    @if(LOW_RANK) var k = panels[keys + d];
    @if(PER_CHANNEL) {
      let decay = decays[decay_at(unit, later, d)];
      let after = times_row(
        after_rows(decays[decay_at(unit, earlier, d)]),
        spans[span_at(unit, earlier + 1u, later, d)],
      );
      q = times(q, through_rows(decay));
      @if(LOW_RANK) a = times(a, before_rows(decay));
      @else a = times(a, through_rows(decay));
      b = times(b, after);
      @if(LOW_RANK) k = times(k, after);
    }
    query_write += transpose(b) * q;
    read_write += transpose(b) * a;
    @if(LOW_RANK) {
      query_key += transpose(k) * q;
      read_key += transpose(k) * a;
    }
  }
  @if(DECAYED && !PER_CHANNEL) {
    let through = transpose(through_rows(decays[decay_at(unit, later, 0u)]))[0];
    let after = transpose(after_rows(decays[decay_at(unit, earlier, 0u)]))[0] *
      spans[span_at(unit, earlier + 1u, later, 0u)];
    query_write = scaled(times_row(query_write, after), through);
    read_write = scaled(times_row(read_write, after), through);
  }
  pairs[pair_at(unit, QUERY_WRITE, later, earlier)] = query_write;
  pairs[pair_at(unit, READ_WRITE, later, earlier)] = read_write;
  @if(LOW_RANK) {
    pairs[pair_at(unit, QUERY_KEY, later, earlier)] = query_key;
    pairs[pair_at(unit, READ_KEY, later, earlier)] = read_key;
  }
}
