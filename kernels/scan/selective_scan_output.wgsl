// The selective scan inside each chunk, from the state that enters it:
//   h = exp(delta * a) * h + delta * input * b,  output = sum over states of c * h.
// Sixteen states in registers. Dispatch: ceil(channels / LANES) by chunks from first_chunk on by batch workgroups, folded.

import package::common::exponential::exponential_quad;
import package::common::folded::{ceil_divide, unfold};
import package::scan::states::{FOURS, existing, fetch_a, fetch_b, fetch_c, shape, states};

override LANES: u32 = 64u;
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

// Writes those of a vector's states that exist.
fn store_final_state(row: u32, four: u32, value: vec4f) {
  let state = states(four);
  @unroll
  for (var i = 0u; i < 4u; i++) {
    if (state[i] < shape.state) {
      final_state[row * shape.state + state[i]] = value[i];
    }
  }
}

@compute @workgroup_size(LANES)
fn selective_scan_output(
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
  let first = (shape.first_chunk + place.y) * shape.chunk_size;
  let last = min(first + shape.chunk_size, shape.time);
  let entering = (place.y * shape.batch + batch) * shape.channels + channel;
  var rate: array<vec4f, FOURS>;
  var h: array<vec4f, FOURS>;
  @unroll
  for (var i = 0u; i < FOURS; i++) {
    rate[i] = fetch_a(channel, i);
    @if(HAS_CARRY)
    h[i] = fetch_carry(entering, i);
    @else
    h[i] = vec4f(0.0);
  }
  for (var t = first; t < last; t++) {
    let row = batch * shape.time + t;
    let at = row * shape.channels + channel;
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
  if (place.y == shape.chunks - 1u) {
    @unroll
    for (var i = 0u; i < FOURS; i++) {
      store_final_state(batch * shape.channels + channel, i, h[i]);
    }
  }
}
