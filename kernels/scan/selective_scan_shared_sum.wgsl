// Sums the partial gradients of b and c over the blocks of channels.
// Dispatch: one invocation per batch element, step and one of 2 * STATES: first those of b, then those of c.

import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::scan::shared::OF_B;
import package::scan::states::STATES;

struct Shape {
  rows: u32, // batch * time
  state: u32,
  first_state: u32,
  blocks: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> partial: array<f32>; // [blocks, rows, 2, STATES]
@group(0) @binding(2) var<storage, read_write> b_gradient: array<f32>; // [rows, state]
@group(0) @binding(3) var<storage, read_write> c_gradient: array<f32>; // [rows, state]

@compute @workgroup_size(WORKGROUP_SIZE)
fn selective_scan_shared_sum(invocation: Invocation) {
  let index = number_of(invocation);
  let state = shape.first_state + index % STATES;
  let sums = shape.rows * 2u * STATES; // of a block
  if (index >= sums || state >= shape.state) {
    return;
  }
  var sum = 0.0;
  for (var block = 0u; block < shape.blocks; block++) {
    sum += partial[block * sums + index];
  }
  let at = index / (2u * STATES) * shape.state + state;
  if (index / STATES % 2u == OF_B) {
    b_gradient[at] = sum;
  } else {
    c_gradient[at] = sum;
  }
}
