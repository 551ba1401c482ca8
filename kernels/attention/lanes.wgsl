// Maximum and sum over the lanes of a workgroup, through workgroup memory. Appended to flash_step.

var<workgroup> reduced: array<f32, LANES>;

fn max_lanes(lane: u32, value: f32) -> f32 {
  reduced[lane] = value;
  workgroupBarrier();
  var largest = reduced[0];
  for (var other = 1u; other < LANES; other++) {
    largest = max(largest, reduced[other]);
  }
  workgroupBarrier();
  return largest;
}

fn sum_lanes(lane: u32, value: f32) -> f32 {
  reduced[lane] = value;
  workgroupBarrier();
  var sum = reduced[0];
  for (var other = 1u; other < LANES; other++) {
    sum += reduced[other];
  }
  return sum;
}
