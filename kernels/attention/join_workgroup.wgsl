// Maximum and sum over the invocations of a workgroup, in workgroup memory.

import package::common::invocations::WORKGROUP_SIZE;

var<workgroup> reduced: array<f32, WORKGROUP_SIZE>;

fn workgroup_max(local: u32, value: f32) -> f32 {
  reduced[local] = value;
  workgroupBarrier();
  var largest = reduced[0];
  for (var other = 1u; other < WORKGROUP_SIZE; other++) {
    largest = max(largest, reduced[other]);
  }
  workgroupBarrier();
  return largest;
}

fn workgroup_sum(local: u32, value: f32) -> f32 {
  reduced[local] = value;
  workgroupBarrier();
  var sum = reduced[0];
  for (var other = 1u; other < WORKGROUP_SIZE; other++) {
    sum += reduced[other];
  }
  return sum;
}
