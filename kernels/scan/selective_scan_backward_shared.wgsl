// The gradients of b and c, which all channels share. An invocation carries four states of four channels
// at a time through a chunk, so that the sum over channels stays in registers; no invocation waits for another:
//   forwards h = exp(delta * a) * h + delta * input * b,  c_gradient += y_gradient * h,
//   backwards g += c * y_gradient,  b_gradient += delta * input * g,  g *= exp(delta * a).
// Dispatch: x = ceil(FOURS * chunks * batch / WORKGROUP_SIZE), y = blocks of CHANNELS channels.

import package::common::exponential::exponential_quad;
import package::common::invocations::{Invocation, WORKGROUP_SIZE};
import package::scan::shared::{OF_B, OF_C};
import package::scan::states::{FOURS, existing, fetch_a, fetch_b, fetch_c, shape, states};

override CHANNELS: u32 = 32u; // a multiple of TOGETHER

const TOGETHER = 4u; // channels that an invocation carries at a time

@group(0) @binding(4) var<storage, read> step: array<vec4f>; // [batch, time, channels]: delta, input, y_gradient
@group(0) @binding(5) var<storage, read> carry: array<f32>; // [chunks, batch, channels, state]
@group(0) @binding(6) var<storage, read> gradient_carry: array<f32>; // [chunks, batch, channels, state]
@group(0) @binding(7) var<storage, read_write> partial: array<vec4f>; // [blocks, batch, time, 2, FOURS]: of b, of c

fn fetch_carry(row: u32, four: u32) -> vec4f {
  let at = row * shape.state + states(four);
  return existing(four, vec4f(carry[at.x], carry[at.y], carry[at.z], carry[at.w]));
}

fn fetch_gradient_carry(row: u32, four: u32) -> vec4f {
  let at = row * shape.state + states(four);
  return existing(four, vec4f(gradient_carry[at.x], gradient_carry[at.y], gradient_carry[at.z], gradient_carry[at.w]));
}

// What happens at a step in a channel; nothing past the last channel.
fn fetch_step(row: u32, channel: u32) -> vec4f {
  let value = step[row * shape.channels + min(channel, shape.channels - 1u)];
  return select(vec4f(0.0), value, channel < shape.channels);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn selective_scan_backward_shared(invocation: Invocation) {
  let index = invocation.workgroup.x * WORKGROUP_SIZE + invocation.local;
  if (index >= FOURS * shape.chunks * shape.batch) {
    return;
  }
  let four = index % FOURS;
  let chunk = index / FOURS % shape.chunks;
  let batch = index / FOURS / shape.chunks;
  let block = invocation.workgroup.y;
  let first = batch * shape.time + chunk * shape.chunk_size;
  let last = first + min(shape.chunk_size, shape.time - chunk * shape.chunk_size);
  let entering = (chunk * shape.batch + batch) * shape.channels;
  let planes = block * shape.batch * shape.time;
  for (var offset = 0u; offset < CHANNELS; offset += TOGETHER) {
    let channel = block * CHANNELS + offset;
    if (channel >= shape.channels) {
      break;
    }
    var rate: array<vec4f, TOGETHER>;
    var h: array<vec4f, TOGETHER>;
    var g: array<vec4f, TOGETHER>;
    @unroll
    for (var i = 0u; i < TOGETHER; i++) {
      let within = min(channel + i, shape.channels - 1u);
      rate[i] = fetch_a(within, four);
      h[i] = fetch_carry(entering + within, four);
      g[i] = fetch_gradient_carry(entering + within, four);
    }
    for (var row = first; row < last; row++) {
      let b_now = fetch_b(row, four);
      var sum = vec4f(0.0);
      @unroll
      for (var i = 0u; i < TOGETHER; i++) {
        let now = fetch_step(row, channel + i);
        h[i] = exponential_quad(now.x * rate[i]) * h[i] + now.x * now.y * b_now;
        sum += now.z * h[i];
      }
      let at = ((planes + row) * 2u + OF_C) * FOURS + four;
      if (offset > 0u) {
        sum += partial[at];
      }
      partial[at] = sum;
    }
    for (var after = last; after > first; after--) {
      let row = after - 1u;
      let c_now = fetch_c(row, four);
      var sum = vec4f(0.0);
      @unroll
      for (var i = 0u; i < TOGETHER; i++) {
        let now = fetch_step(row, channel + i);
        g[i] += now.z * c_now;
        sum += now.x * now.y * g[i];
        g[i] *= exponential_quad(now.x * rate[i]);
      }
      let at = ((planes + row) * 2u + OF_B) * FOURS + four;
      if (offset > 0u) {
        sum += partial[at];
      }
      partial[at] = sum;
    }
  }
}
