// The selective scan inside each chunk, from the state that enters it:
//   h = exp(delta * a) * h + delta * input * b,  output = sum over states of c * h.
// STATES states in registers. Dispatch: ceil(channels / WORKGROUP_SIZE) by chunks from first_chunk on by batch workgroups, folded.

import package::common::exponential::exponential_quad;
import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::scan::chains::chain_of;
import package::scan::states::{FOURS, STATES, existing, fetch_a, fetch_b, fetch_c, shape, states};

override ACCUMULATE: bool = false; // add to the output of the states before

@group(0) @binding(4) var<storage, read> input: array<f32>; // [batch, time, channels]
@group(0) @binding(5) var<storage, read> delta: array<f32>; // [batch, time, channels]
@if(HAS_CARRY)
@group(0) @binding(6) var<storage, read> carry: array<f32>; // [chunks, batch, channels, state]; else every chunk starts from 0
@group(0) @binding(7) var<storage, read_write> output: array<f32>; // [batch, time, channels]
@group(0) @binding(8) var<storage, read_write> final_state: array<f32>; // [batch, channels, state]

fn fetch_carry(row: u32, four: u32) -> vec4f {
  let at = row * shape.state + states(four);
  return existing(four, vec4f(carry[at.x], carry[at.y], carry[at.z], carry[at.w]));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn selective_scan_output(invocation: Invocation) {
  let chain = chain_of(invocation);
  if (chain.batch >= shape.batch) {
    return;
  }
  var rate: array<vec4f, FOURS>;
  var h: array<vec4f, FOURS>;
  @unroll
  for (var i = 0u; i < FOURS; i++) {
    rate[i] = fetch_a(chain.channel, i);
    @if(HAS_CARRY)
    h[i] = fetch_carry(chain.place, i);
    @else
    h[i] = vec4f(0.0);
  }
  for (var row = chain.begin; row < chain.end; row++) {
    let at = row * shape.channels + chain.channel;
    let d = delta[at];
    let du = d * input[at];
    var y = 0.0;
    @unroll
    for (var i = 0u; i < FOURS; i++) {
      h[i] = exponential_quad(d * rate[i]) * h[i] + du * fetch_b(row, i);
      y += dot(fetch_c(row, i), h[i]);
    }
    if (ACCUMULATE) {
      y += output[at];
    }
    output[at] = y;
  }
  if (chain.chunk < shape.chunks - 1u) {
    return;
  }
  let row = chain.batch * shape.channels + chain.channel;
  @unroll
  for (var n = 0u; n < STATES; n++) {
    let state = shape.first_state + n;
    if (state < shape.state) {
      final_state[row * shape.state + state] = h[n / 4u][n % 4u];
    }
  }
}
