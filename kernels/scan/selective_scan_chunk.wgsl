// What a chunk of the selective scan does to the state that enters it:
//   leaving = exp(a * delta_sum) * entering + sum,  delta_sum = the sum of delta over the chunk,
//   sum = the recurrence h = exp(delta * a) * h + delta * input * b from state 0.
// Sixteen states in registers. Dispatch: ceil(channels / LANES) by chunks by batch workgroups, folded.

import package::common::exponential::exponential_quad;
import package::common::folded::{ceil_divide, unfold};
import package::scan::states::{FOURS, fetch_a, fetch_b, shape, states};

override LANES: u32 = 64u;

@group(0) @binding(4) var<storage, read> input: array<f32>; // [batch, time, channels]
@group(0) @binding(5) var<storage, read> delta: array<f32>; // [batch, time, channels]
@group(0) @binding(6) var<storage, read_write> sum: array<f32>; // [chunks, batch, channels, state]
@group(0) @binding(7) var<storage, read_write> delta_sum: array<f32>; // [chunks, batch, channels]

// Writes those of a vector's states that exist.
fn store_sum(row: u32, four: u32, value: vec4f) {
  let state = states(four);
  @unroll
  for (var i = 0u; i < 4u; i++) {
    if (state[i] < shape.state) {
      sum[row * shape.state + state[i]] = value[i];
    }
  }
}

@compute @workgroup_size(LANES)
fn selective_scan_chunk(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let width = ceil_divide(shape.channels, LANES);
  let place = unfold(workgroup, workgroups, width, shape.chunks);
  let channel = place.x * LANES + local;
  if (channel >= shape.channels || place.z >= shape.batch) {
    return;
  }
  let batch = place.z;
  let first = place.y * shape.chunk_size;
  let last = min(first + shape.chunk_size, shape.time);
  var rate: array<vec4f, FOURS>;
  var h: array<vec4f, FOURS>;
  @unroll
  for (var i = 0u; i < FOURS; i++) {
    rate[i] = fetch_a(channel, i);
    h[i] = vec4f(0.0);
  }
  var total = 0.0;
  for (var t = first; t < last; t++) {
    let row = batch * shape.time + t;
    let d = delta[row * shape.channels + channel];
    let du = d * input[row * shape.channels + channel];
    @unroll
    for (var i = 0u; i < FOURS; i++) {
      h[i] = exponential_quad(d * rate[i]) * h[i] + du * fetch_b(row, i);
    }
    total += d;
  }
  let at = (place.y * shape.batch + batch) * shape.channels + channel;
  @unroll
  for (var i = 0u; i < FOURS; i++) {
    store_sum(at, i, h[i]);
  }
  delta_sum[at] = total;
}
