// The place of the first of the largest keys of a row's lanes, halving them in workgroup memory.

import package::common::lanes::{LANES, ROWS};

var<workgroup> keys: array<u32, LANES * ROWS>;
var<workgroup> places: array<u32, LANES * ROWS>;

fn first_largest(local: vec2u, key: u32, place: u32) -> u32 {
  if (LANES == 1u) {
    return place;
  }
  let slot = local.y * LANES;
  keys[slot + local.x] = key;
  places[slot + local.x] = place;
  for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (local.x < stride) {
      let mine = slot + local.x;
      let other = mine + stride;
      if (keys[other] > keys[mine] || (keys[other] == keys[mine] && places[other] < places[mine])) {
        keys[mine] = keys[other];
        places[mine] = places[other];
      }
    }
  }
  workgroupBarrier();
  return places[slot];
}
