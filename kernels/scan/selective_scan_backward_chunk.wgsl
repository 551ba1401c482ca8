// What a chunk of the selective scan does to the state that enters it and, on the way back, to the
// gradient of the state that leaves it, both from one walk forwards. With q = exp(a * the sum of delta so far):
//   leaving = exp(a * delta_sum) * entering + sum,
//   entering_gradient = exp(a * delta_sum) * leaving_gradient + gradient_sum,
//   gradient_sum = sum over t of q * c * y_gradient.
// Sixteen states in registers. Dispatch: ceil(channels / LANES) by chunks by batch workgroups, folded.

import package::common::exponential::exponential_quad;
import package::common::folded::{ceil_divide, unfold};
import package::scan::states::{FOURS, fetch_a, fetch_b, fetch_c, shape, states};

override LANES: u32 = 64u;

@group(0) @binding(4) var<storage, read> step: array<vec4f>; // [batch, time, channels]: delta, input, y_gradient
@group(0) @binding(5) var<storage, read_write> sum: array<f32>; // [chunks, batch, channels, state]
@group(0) @binding(6) var<storage, read_write> gradient_sum: array<f32>; // [chunks, batch, channels, state]
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

// Writes those of a vector's states that exist.
fn store_gradient_sum(row: u32, four: u32, value: vec4f) {
  let state = states(four);
  @unroll
  for (var i = 0u; i < 4u; i++) {
    if (state[i] < shape.state) {
      gradient_sum[row * shape.state + state[i]] = value[i];
    }
  }
}

@compute @workgroup_size(LANES)
fn selective_scan_backward_chunk(
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
  var q: array<vec4f, FOURS>;
  var g: array<vec4f, FOURS>;
  @unroll
  for (var i = 0u; i < FOURS; i++) {
    rate[i] = fetch_a(channel, i);
    h[i] = vec4f(0.0);
    q[i] = vec4f(1.0);
    g[i] = vec4f(0.0);
  }
  var total = 0.0;
  for (var t = first; t < last; t++) {
    let row = batch * shape.time + t;
    let now = step[row * shape.channels + channel];
    @unroll
    for (var i = 0u; i < FOURS; i++) {
      let decay = exponential_quad(now.x * rate[i]);
      h[i] = decay * h[i] + now.x * now.y * fetch_b(row, i);
      q[i] *= decay;
      g[i] += q[i] * now.z * fetch_c(row, i);
    }
    total += now.x;
  }
  let at = (place.y * shape.batch + batch) * shape.channels + channel;
  @unroll
  for (var i = 0u; i < FOURS; i++) {
    store_sum(at, i, h[i]);
    store_gradient_sum(at, i, g[i]);
  }
  delta_sum[at] = total;
}
