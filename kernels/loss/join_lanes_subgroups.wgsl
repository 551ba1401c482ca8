// The parts of the lanes of a row that has a workgroup of its own (ROWS = 1) joined: those of each
// subgroup, then those of the subgroups.
// Nothing is taken for granted of the size of subgroups or of which invocations they hold: a prefix
// sum ranks the invocations of each.

enable subgroups;

import package::common::exponential::exponential;
import package::common::lanes::LANES;
import package::loss::part::{LOWEST, NOWHERE, Part, join_parts};

var<workgroup> parts: array<Part, LANES>; // a subgroup's where its first invocation is, else nothing

fn join_subgroup(part: Part) -> Part {
  let maximum = subgroupMax(part.maximum);
  let sum = subgroupAdd(part.sum * exponential(part.maximum - maximum));
  let place = subgroupMin(select(NOWHERE, part.place, part.maximum == maximum));
  return Part(maximum, sum, place);
}

fn join_lanes(local: vec2u, part: Part) -> Part {
  let rank = subgroupExclusiveAdd(1u);
  let size = subgroupAdd(1u);
  let first = join_subgroup(part);
  parts[local.x] = Part(LOWEST, 0.0, NOWHERE);
  if (rank == 0u) {
    parts[local.x] = first;
  }
  workgroupBarrier();
  var joined = Part(LOWEST, 0.0, NOWHERE);
  for (var lane = rank; lane < LANES; lane += size) {
    joined = join_parts(joined, parts[lane]);
  }
  return join_subgroup(joined);
}
