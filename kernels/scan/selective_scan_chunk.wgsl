// What a chunk of the selective scan does to the state that enters it:
//   leaving = exp(a * delta_sum) * entering + sum,  delta_sum = the sum of delta over the chunk,
//   sum = the recurrence h = exp(delta * a) * h + delta * input * b from state 0.
// STATES states in registers. Dispatch: ceil(channels / WORKGROUP_SIZE) by chunks by batch workgroups, folded.

import package::common::exponential::exponential_quad;
import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::scan::chains::chain_of;
import package::scan::states::{FOURS, STATES, fetch_a, fetch_b, shape};

@group(0) @binding(4) var<storage, read> input: array<f32>; // [batch, time, channels]
@group(0) @binding(5) var<storage, read> delta: array<f32>; // [batch, time, channels]
@group(0) @binding(6) var<storage, read_write> sum: array<f32>; // [chunks, batch, channels, state]
@group(0) @binding(7) var<storage, read_write> delta_sum: array<f32>; // [chunks, batch, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn selective_scan_chunk(invocation: Invocation) {
  let chain = chain_of(invocation);
  if (chain.batch >= shape.batch) {
    return;
  }
  var rate: array<vec4f, FOURS>;
  var h: array<vec4f, FOURS>;
  @unroll
  for (var i = 0u; i < FOURS; i++) {
    rate[i] = fetch_a(chain.channel, i);
    h[i] = vec4f(0.0);
  }
  var total = 0.0;
  for (var row = chain.begin; row < chain.end; row++) {
    let d = delta[row * shape.channels + chain.channel];
    let du = d * input[row * shape.channels + chain.channel];
    @unroll
    for (var i = 0u; i < FOURS; i++) {
      h[i] = exponential_quad(d * rate[i]) * h[i] + du * fetch_b(row, i);
    }
    total += d;
  }
  @unroll
  for (var n = 0u; n < STATES; n++) {
    let state = shape.first_state + n;
    if (state < shape.state) {
      sum[chain.place * shape.state + state] = h[n / 4u][n % 4u];
    }
  }
  delta_sum[chain.place] = total;
}
