// The place of the first of the largest logits of each row; NaN is never the largest, and a row of
// nothing but NaN gives 0.
// Dispatch: ROWS rows a workgroup, LANES invocations a row, folded past 65,535 workgroups.

override LANES: u32 = 64u; // a power of two
override ROWS: u32 = 1u;

struct Shape {
  rows: u32,
  vocabulary: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> logits: array<f32>; // [rows, vocabulary]
@group(0) @binding(2) var<storage, read_write> tokens: array<u32>; // [rows]

const NONE = 0xffffffffu;

// Keys are compared as integers: their order is that of the floats, 0 is that of NaN, and no compiler
// may assume NaN away.
var<workgroup> keys: array<u32, LANES * ROWS>;
var<workgroup> places: array<u32, LANES * ROWS>;

fn order_key(bits: u32) -> u32 {
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return 0u;
  }
  if (bits == 0x80000000u) { // -0 equals 0
    return 0x80000000u;
  }
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

@compute @workgroup_size(LANES, ROWS)
fn argmax(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let row = (workgroup.x + workgroup.y * workgroups.x) * ROWS + local.y;
  let valid = row < shape.rows;
  let start = select(0u, row * shape.vocabulary, valid);
  var best = 0u;
  var place = NONE;
  for (var column = local.x; column < shape.vocabulary; column += LANES) {
    let key = order_key(bitcast<u32>(logits[start + column]));
    if (key > best) {
      best = key;
      place = column;
    }
  }
  let slot = local.y * LANES;
  keys[slot + local.x] = best;
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
  if (valid && local.x == 0u) {
    tokens[row] = select(places[slot], 0u, places[slot] == NONE);
  }
}
