// The place of the first of the largest keys of the lanes of a row that has a workgroup of its own
// (ROWS = 1): of each subgroup, then of the subgroups.
// Nothing is taken for granted of the size of subgroups or of which invocations they hold: a prefix
// sum ranks the invocations of each.

enable subgroups;

import package::common::lanes::LANES;
import package::sampling::no_token::NO_TOKEN;

var<workgroup> keys: array<u32, LANES>; // a subgroup's largest where its first invocation is, else 0
var<workgroup> places: array<u32, LANES>;

fn first_largest(local: vec2u, key: u32, place: u32) -> u32 {
  let rank = subgroupExclusiveAdd(1u);
  let size = subgroupAdd(1u);
  let largest = subgroupMax(key);
  let first = subgroupMin(select(NO_TOKEN, place, key == largest));
  keys[local.x] = select(0u, largest, rank == 0u);
  places[local.x] = select(NO_TOKEN, first, rank == 0u);
  workgroupBarrier();
  var best = 0u;
  for (var lane = rank; lane < LANES; lane += size) {
    best = max(best, keys[lane]);
  }
  best = subgroupMax(best);
  var nearest = NO_TOKEN;
  for (var lane = rank; lane < LANES; lane += size) {
    nearest = min(nearest, select(NO_TOKEN, places[lane], keys[lane] == best));
  }
  return subgroupMin(nearest);
}
