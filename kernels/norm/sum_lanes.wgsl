// The sum over the lanes of a row, halving them in workgroup memory.

import package::common::lanes::{LANES, ROWS};
import package::norm::sum::Sum;

var<workgroup> partial: array<Sum, LANES * ROWS>;

// The sum of a value over the lanes of a row. A second call wants a barrier before it.
fn sum_lanes(local: vec2u, value: Sum) -> Sum {
  if (LANES == 1u) {
    return value;
  }
  let slot = local.y * LANES;
  partial[slot + local.x] = value;
  for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (local.x < stride) {
      partial[slot + local.x] += partial[slot + local.x + stride];
    }
  }
  workgroupBarrier();
  return partial[slot];
}
