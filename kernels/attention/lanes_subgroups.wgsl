// Maximum and sum over the lanes of a workgroup: over each subgroup, then over the subgroups' results.
// Appended to flash_step.
// Nothing is taken for granted of the size of subgroups or of which invocations they hold: a prefix
// sum ranks the invocations of each.

var<workgroup> reduced: array<f32, LANES>; // a subgroup's result where its first invocation is

fn max_lanes(lane: u32, value: f32) -> f32 {
  let rank = subgroupExclusiveAdd(1u);
  let size = subgroupAdd(1u);
  let largest = subgroupMax(value);
  reduced[lane] = select(MASKED, largest, rank == 0u);
  workgroupBarrier();
  var result = MASKED;
  for (var other = rank; other < LANES; other += size) {
    result = max(result, reduced[other]);
  }
  workgroupBarrier();
  return subgroupMax(result);
}

fn sum_lanes(lane: u32, value: f32) -> f32 {
  let rank = subgroupExclusiveAdd(1u);
  let size = subgroupAdd(1u);
  let sum = subgroupAdd(value);
  reduced[lane] = select(0.0, sum, rank == 0u);
  workgroupBarrier();
  var result = 0.0;
  for (var other = rank; other < LANES; other += size) {
    result += reduced[other];
  }
  return subgroupAdd(result);
}
