// What a chunk does to the gradient of the state that leaves it, on the way back:
//   entering_gradient = product * leaving_gradient + sum, with
//   product = decay[first] * ... * decay[last],  sum: r = decay * (output_gradient + r) backwards from 0.
// Dispatch: one invocation per batch element, chunk and Lane of channels, in that order.

import package::scan::chunks::{WORKGROUP_SIZE, chunk_of, shape};
import package::scan::lane::{FOUR_STEPS, Lane, add, multiply};

@group(0) @binding(1) var<storage, read> decay: array<Lane>; // [batch, time, channels]
@group(0) @binding(2) var<storage, read> output_gradient: array<Lane>; // [batch, time, channels]
@group(0) @binding(3) var<storage, read_write> product: array<Lane>; // [batch, chunks, channels]
@group(0) @binding(4) var<storage, read_write> sum: array<Lane>; // [batch, chunks, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn scan_backward_chunk(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local;
  if (index >= shape.batch * shape.chunks * shape.channels) {
    return;
  }
  let channels = shape.channels;
  let chunk = chunk_of(index);
  let begin = chunk.begin;
  // One step behind the next one to take, so that an unsigned index never goes below 0.
  var behind = begin + (chunk.steps - 1u) * channels;

  var p = decay[behind];
  var r = multiply(p, output_gradient[behind]);
  if (FOUR_STEPS) {
    let begin_of_fours = begin + (chunk.steps - 1u) % 4u * channels;
    while (behind > begin_of_fours) {
      behind -= 4u * channels;
      var a: array<Lane, 4>;
      @unroll
      for (var n = 0u; n < 4u; n++) {
        const i = 3u - n;
        a[i] = decay[behind + i * channels];
        r = multiply(a[i], add(output_gradient[behind + i * channels], r));
      }
      p = multiply(p, multiply(multiply(a[0], a[1]), multiply(a[2], a[3])));
    }
  }
  while (behind > begin) {
    behind -= channels;
    let a = decay[behind];
    r = multiply(a, add(output_gradient[behind], r));
    p = multiply(a, p);
  }
  product[index] = p;
  sum[index] = r;
}
