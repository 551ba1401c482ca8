// The parts of a row's lanes joined, halving them in workgroup memory.

import package::common::lanes::{LANES, ROWS};
import package::loss::part::{Part, join_parts};

var<workgroup> parts: array<Part, LANES * ROWS>;

fn join_lanes(local: vec2u, part: Part) -> Part {
  if (LANES == 1u) {
    return part;
  }
  let slot = local.y * LANES;
  parts[slot + local.x] = part;
  for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (local.x < stride) {
      let mine = slot + local.x;
      parts[mine] = join_parts(parts[mine], parts[mine + stride]);
    }
  }
  workgroupBarrier();
  return parts[slot];
}
