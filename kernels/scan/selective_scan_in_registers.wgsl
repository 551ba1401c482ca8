// The selective scan with its step sizes, skip and gate, token by token:
//   h = exp(step * a) * h + step * input * b,  output = (sum over states of c * h + skip * input) * silu(gate)
// Dispatch: one invocation per sequence and four channels.

import package::common::activation_kinds::sigmoid4;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::scan::four_channels::{STATE_FOURS, advance, by_state, c, delta_at, h, input, shape, start, step_of};
@if(HAS_GATE)
import package::scan::four_channels::gate;
@if(HAS_SKIP)
import package::scan::four_channels::skip;

@group(0) @binding(10) var<storage, read_write> output: array<vec4f>; // [batch, time, fours]
@group(0) @binding(11) var<storage, read_write> final_state: array<vec4f>; // [batch, channels, STATE_FOURS]

@compute @workgroup_size(WORKGROUP_SIZE)
fn selective_scan_in_registers(invocation: Invocation) {
  let chain = number_of(invocation);
  if (chain >= shape.batch * shape.fours) {
    return;
  }
  let four = chain % shape.fours;
  let first = chain / shape.fours * shape.time;
  start(chain);
  for (var row = first; row < first + shape.time; row++) {
    let at = row * shape.fours + four;
    let step = step_of(delta_at(at));
    let u = input[at];
    advance(row, step, step * u);
    var y = vec4f();
    @if(HAS_SKIP)
    y = skip[four] * u;
    @unroll
    for (var i = 0u; i < STATE_FOURS; i++) {
      let c_now = c[row * STATE_FOURS + i];
      @unroll
      for (var n = 0u; n < 4u; n++) {
        y += c_now[n] * h[4u * i + n];
      }
    }
    @if(HAS_GATE)
    y *= gate[at] * sigmoid4(gate[at]);
    output[at] = y;
  }
  @unroll
  for (var i = 0u; i < STATE_FOURS; i++) {
    let states = by_state(h[4u * i], h[4u * i + 1u], h[4u * i + 2u], h[4u * i + 3u]);
    @unroll
    for (var n = 0u; n < 4u; n++) {
      final_state[(4u * chain + n) * STATE_FOURS + i] = states[n];
    }
  }
}
