// What a chunk of the selective scan does to the state that enters it and, on the way back, to the
// gradient of the state that leaves it, both from one walk forwards. With q = exp(a * the sum of delta so far):
//   leaving = exp(a * delta_sum) * entering + sum,
//   entering_gradient = exp(a * delta_sum) * leaving_gradient + gradient_sum,
//   gradient_sum = sum over t of q * c * y_gradient.
// STATES states in registers. Dispatch: ceil(channels / WORKGROUP_SIZE) by chunks by batch workgroups, folded.

import package::common::exponential::exponential_quad;
import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::scan::chains::chain_of;
import package::scan::states::{FOURS, STATES, fetch_a, fetch_b, fetch_c, shape};

@group(0) @binding(4) var<storage, read> step: array<vec4f>; // [batch, time, channels]: delta, input, y_gradient
@group(0) @binding(5) var<storage, read_write> sum: array<f32>; // [chunks, batch, channels, state]
@group(0) @binding(6) var<storage, read_write> gradient_sum: array<f32>; // [chunks, batch, channels, state]
@group(0) @binding(7) var<storage, read_write> delta_sum: array<f32>; // [chunks, batch, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn selective_scan_backward_chunk(invocation: Invocation) {
  let chain = chain_of(invocation);
  if (chain.batch >= shape.batch) {
    return;
  }
  var rate: array<vec4f, FOURS>;
  var h: array<vec4f, FOURS>;
  var q: array<vec4f, FOURS>;
  var g: array<vec4f, FOURS>;
  @unroll
  for (var i = 0u; i < FOURS; i++) {
    rate[i] = fetch_a(chain.channel, i);
    h[i] = vec4f(0.0);
    q[i] = vec4f(1.0);
    g[i] = vec4f(0.0);
  }
  var total = 0.0;
  for (var row = chain.begin; row < chain.end; row++) {
    let now = step[row * shape.channels + chain.channel];
    @unroll
    for (var i = 0u; i < FOURS; i++) {
      let decay = exponential_quad(now.x * rate[i]);
      h[i] = decay * h[i] + now.x * now.y * fetch_b(row, i);
      q[i] *= decay;
      g[i] += q[i] * now.z * fetch_c(row, i);
    }
    total += now.x;
  }
  @unroll
  for (var n = 0u; n < STATES; n++) {
    let state = shape.first_state + n;
    if (state < shape.state) {
      sum[chain.place * shape.state + state] = h[n / 4u][n % 4u];
      gradient_sum[chain.place * shape.state + state] = g[n / 4u][n % 4u];
    }
  }
  delta_sum[chain.place] = total;
}
