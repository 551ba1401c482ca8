// Maximum and sum over the invocations of a workgroup: over each subgroup, then over the subgroups' results.
// Nothing is taken for granted of the size of subgroups or of which invocations they hold: a prefix sum
// ranks the invocations of each.

enable subgroups;

import package::attention::logits::LOWEST;
import package::common::invocations::WORKGROUP_SIZE;

var<workgroup> reduced: array<f32, WORKGROUP_SIZE>; // a subgroup's result where its first invocation is

fn workgroup_max(local: u32, value: f32) -> f32 {
  let rank = subgroupExclusiveAdd(1u);
  let size = subgroupAdd(1u);
  let largest = subgroupMax(value);
  reduced[local] = select(LOWEST, largest, rank == 0u);
  workgroupBarrier();
  var result = LOWEST;
  for (var other = rank; other < WORKGROUP_SIZE; other += size) {
    result = max(result, reduced[other]);
  }
  workgroupBarrier();
  return subgroupMax(result);
}

fn workgroup_sum(local: u32, value: f32) -> f32 {
  let rank = subgroupExclusiveAdd(1u);
  let size = subgroupAdd(1u);
  let sum = subgroupAdd(value);
  reduced[local] = select(0.0, sum, rank == 0u);
  workgroupBarrier();
  var result = 0.0;
  for (var other = rank; other < WORKGROUP_SIZE; other += size) {
    result += reduced[other];
  }
  return subgroupAdd(result);
}
