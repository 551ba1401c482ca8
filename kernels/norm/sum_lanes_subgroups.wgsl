// The sum over the lanes of a row that has a workgroup of its own (ROWS = 1): over each subgroup, then
// over the subgroups' sums.
// Nothing is taken for granted of the size of subgroups or of which invocations they hold: a prefix
// sum ranks the invocations of each.

enable subgroups;

import package::common::lanes::LANES;
import package::norm::sum::Sum;

var<workgroup> partial: array<Sum, LANES>; // a subgroup's sum where its first invocation is, else 0

// The sum of a value over the lanes of a row. A second call wants a barrier before it.
fn sum_lanes(local: vec2u, value: Sum) -> Sum {
  let rank = subgroupExclusiveAdd(1u);
  let size = subgroupAdd(1u);
  let sum = subgroupAdd(value);
  partial[local.x] = select(Sum(), sum, rank == 0u);
  workgroupBarrier();
  var total_sum = Sum();
  for (var lane = rank; lane < LANES; lane += size) {
    total_sum += partial[lane];
  }
  return subgroupAdd(total_sum);
}
