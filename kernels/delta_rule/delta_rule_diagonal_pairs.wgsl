// How the rows of a block see one another, channels summed:
//   pair[i, j] = Σ_d reader[i] * D(j, i) * writer[j], for queries j ≤ i, for read rows j < i, else 0
// D is the decay after row j through row i (of a read row with LOW_RANK: before row i). The rows walk
// forwards, and what was written is decayed along, as in the recurrence itself.
// Dispatch: x = chunks, y = heads, z = groups of invocations, one per block.

import package::delta_rule::blocks::{shape, times_row};
import package::delta_rule::workspace::{
  decay_at, KEY, pair_at, panel_at, QUERY, QUERY_KEY, QUERY_WRITE, READ, READ_KEY, READ_WRITE, WRITE,
};

override WORKGROUP_SIZE: u32 = 32u;

@group(0) @binding(1) var<storage, read> panels: array<mat4x4f>; // [units, PANELS, blocks, key_quads]
@if(DECAYED) @group(0) @binding(2) var<storage, read> decays: array<mat4x4f>; // [units, blocks, decay_quads]
@group(0) @binding(3) var<storage, read_write> pairs: array<mat4x4f>; // [units, PAIRS, blocks, blocks]

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_diagonal_pairs(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let block = workgroup.z * WORKGROUP_SIZE + local.x;
  if (block >= shape.blocks) {
    return;
  }
  let unit = workgroup.x * shape.heads + workgroup.y;
  let queries = panel_at(unit, QUERY, block);
  let reads = panel_at(unit, READ, block);
  let writes = panel_at(unit, WRITE, block);
  @if(LOW_RANK) let keys = panel_at(unit, KEY, block);
  var query_write = mat4x4f();
  var read_write = mat4x4f();
  @if(LOW_RANK) var query_key = mat4x4f();
  @if(LOW_RANK) var read_key = mat4x4f();
  for (var d = 0u; d < shape.key_quads; d++) {
    let q = panels[queries + d];
    let a = panels[reads + d];
    let b = panels[writes + d];
    @if(LOW_RANK) let k = panels[keys + d];
    @if(PER_CHANNEL) let decay = decays[decay_at(unit, block, d)];
    var written = mat4x4f(); // write rows so far, decayed to row r
    @if(LOW_RANK) var stored = mat4x4f(); // keys so far, likewise
    @unroll for (var r = 0u; r < 4u; r++) {
      @if(LOW_RANK) {
        read_write[r] += a[r] * written;
        read_key[r] += a[r] * stored;
        stored = times_row(stored, decay[r]);
        stored[r] = k[r];
        query_key[r] += q[r] * stored;
      }
      @if(PER_CHANNEL) written = times_row(written, decay[r]);
      @if(!LOW_RANK) read_write[r] += a[r] * written;
      written[r] = b[r];
      query_write[r] += q[r] * written;
    }
  }
  @if(DECAYED && !PER_CHANNEL) {
    let decay = decays[decay_at(unit, block, 0u)];
    var factors = vec4f();
    @unroll for (var r = 0u; r < 4u; r++) {
      factors *= decay[r];
      factors[r] = 1.0;
      query_write[r] *= factors;
      read_write[r] *= factors;
    }
  }
  pairs[pair_at(unit, QUERY_WRITE, block, block)] = query_write;
  pairs[pair_at(unit, READ_WRITE, block, block)] = read_write;
  @if(LOW_RANK) {
    pairs[pair_at(unit, QUERY_KEY, block, block)] = query_key;
    pairs[pair_at(unit, READ_KEY, block, block)] = read_key;
  }
}
