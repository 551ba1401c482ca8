// The gradients of b and c, which all channels share. An invocation carries four states of four channels
// at a time through a chunk, so that the sum over channels stays in registers; no lane waits for another:
//   forwards h = exp(delta * a) * h + delta * input * b,  c_gradient += y_gradient * h,
//   backwards g += c * y_gradient,  b_gradient += delta * input * g,  g *= exp(delta * a).
// Dispatch: x = ceil(4 * chunks * batch / WORKGROUP_SIZE), y = blocks of CHANNELS channels.

override WORKGROUP_SIZE: u32 = 64u;
override CHANNELS: u32 = 32u; // a multiple of four

struct Shape {
  batch: u32,
  time: u32,
  channels: u32,
  state: u32,
  first_state: u32, // of the sixteen that this dispatch carries
  chunks: u32,
  chunk_size: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> step: array<vec4f>; // [batch, time, channels]: delta, input, y_gradient
@group(0) @binding(2) var<storage, read> a: array<f32>; // [channels, state]
@group(0) @binding(3) var<storage, read> b: array<f32>; // [batch, time, state]
@group(0) @binding(4) var<storage, read> c: array<f32>; // [batch, time, state]
@group(0) @binding(5) var<storage, read> carry: array<f32>; // [chunks, batch, channels, state]
@group(0) @binding(6) var<storage, read> gradient_carry: array<f32>; // [chunks, batch, channels, state]
@group(0) @binding(7) var<storage, read_write> partial: array<vec4f>; // [blocks, batch, time, 8]: b's sixteen, c's sixteen

// States first_state + n to first_state + n + 3 of row `row`; 0 past the last state.
fn fetch_a(row: u32, n: u32) -> vec4f {
  let state = vec4u(shape.first_state + n) + vec4u(0u, 1u, 2u, 3u);
  let at = row * shape.state + state;
  let value = vec4f(a[at.x], a[at.y], a[at.z], a[at.w]);
  return select(vec4f(0.0), value, state < vec4u(shape.state));
}

// States first_state + n to first_state + n + 3 of row `row`; 0 past the last state.
fn fetch_b(row: u32, n: u32) -> vec4f {
  let state = vec4u(shape.first_state + n) + vec4u(0u, 1u, 2u, 3u);
  let at = row * shape.state + state;
  let value = vec4f(b[at.x], b[at.y], b[at.z], b[at.w]);
  return select(vec4f(0.0), value, state < vec4u(shape.state));
}

// States first_state + n to first_state + n + 3 of row `row`; 0 past the last state.
fn fetch_c(row: u32, n: u32) -> vec4f {
  let state = vec4u(shape.first_state + n) + vec4u(0u, 1u, 2u, 3u);
  let at = row * shape.state + state;
  let value = vec4f(c[at.x], c[at.y], c[at.z], c[at.w]);
  return select(vec4f(0.0), value, state < vec4u(shape.state));
}

// States first_state + n to first_state + n + 3 of row `row`; 0 past the last state.
fn fetch_carry(row: u32, n: u32) -> vec4f {
  let state = vec4u(shape.first_state + n) + vec4u(0u, 1u, 2u, 3u);
  let at = row * shape.state + state;
  let value = vec4f(carry[at.x], carry[at.y], carry[at.z], carry[at.w]);
  return select(vec4f(0.0), value, state < vec4u(shape.state));
}

// States first_state + n to first_state + n + 3 of row `row`; 0 past the last state.
fn fetch_gradient_carry(row: u32, n: u32) -> vec4f {
  let state = vec4u(shape.first_state + n) + vec4u(0u, 1u, 2u, 3u);
  let at = row * shape.state + state;
  let value = vec4f(gradient_carry[at.x], gradient_carry[at.y], gradient_carry[at.z], gradient_carry[at.w]);
  return select(vec4f(0.0), value, state < vec4u(shape.state));
}

// What happens at a step in a channel; nothing past the last channel.
fn fetch_step(row: u32, channel: u32) -> vec4f {
  let value = step[row * shape.channels + min(channel, shape.channels - 1u)];
  return select(vec4f(0.0), value, channel < shape.channels);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn selective_scan_backward_shared(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = workgroup.x * WORKGROUP_SIZE + local;
  if (index >= 4u * shape.chunks * shape.batch) {
    return;
  }
  let quad = index % 4u;
  let n = quad * 4u;
  let chunk = index / 4u % shape.chunks;
  let batch = index / 4u / shape.chunks;
  let first = batch * shape.time + chunk * shape.chunk_size;
  let last = first + min(shape.chunk_size, shape.time - chunk * shape.chunk_size);
  let entering = (chunk * shape.batch + batch) * shape.channels;
  let planes = workgroup.y * shape.batch * shape.time;
  for (var offset = 0u; offset < CHANNELS; offset += 4u) {
    let channel = workgroup.y * CHANNELS + offset;
    if (channel >= shape.channels) {
      break;
    }
    let end = shape.channels - 1u;
    let channel0 = min(channel + 0u, end);
    let channel1 = min(channel + 1u, end);
    let channel2 = min(channel + 2u, end);
    let channel3 = min(channel + 3u, end);
    let a0 = fetch_a(channel0, n);
    let a1 = fetch_a(channel1, n);
    let a2 = fetch_a(channel2, n);
    let a3 = fetch_a(channel3, n);
    var h0 = fetch_carry(entering + channel0, n);
    var h1 = fetch_carry(entering + channel1, n);
    var h2 = fetch_carry(entering + channel2, n);
    var h3 = fetch_carry(entering + channel3, n);
    for (var row = first; row < last; row++) {
      let b_now = fetch_b(row, n);
      let now0 = fetch_step(row, channel + 0u);
      let now1 = fetch_step(row, channel + 1u);
      let now2 = fetch_step(row, channel + 2u);
      let now3 = fetch_step(row, channel + 3u);
      h0 = exp(now0.x * a0) * h0 + now0.x * now0.y * b_now;
      h1 = exp(now1.x * a1) * h1 + now1.x * now1.y * b_now;
      h2 = exp(now2.x * a2) * h2 + now2.x * now2.y * b_now;
      h3 = exp(now3.x * a3) * h3 + now3.x * now3.y * b_now;
      var sum = now0.z * h0 + now1.z * h1 + now2.z * h2 + now3.z * h3;
      let at = (planes + row) * 8u + 4u + quad;
      if (offset > 0u) {
        sum += partial[at];
      }
      partial[at] = sum;
    }
    var g0 = fetch_gradient_carry(entering + channel0, n);
    var g1 = fetch_gradient_carry(entering + channel1, n);
    var g2 = fetch_gradient_carry(entering + channel2, n);
    var g3 = fetch_gradient_carry(entering + channel3, n);
    for (var after = last; after > first; after--) {
      let row = after - 1u;
      let c_now = fetch_c(row, n);
      let now0 = fetch_step(row, channel + 0u);
      let now1 = fetch_step(row, channel + 1u);
      let now2 = fetch_step(row, channel + 2u);
      let now3 = fetch_step(row, channel + 3u);
      g0 += now0.z * c_now;
      g1 += now1.z * c_now;
      g2 += now2.z * c_now;
      g3 += now3.z * c_now;
      var sum = now0.x * now0.y * g0 + now1.x * now1.y * g1 + now2.x * now2.y * g2 +
        now3.x * now3.y * g3;
      let at = (planes + row) * 8u + quad;
      if (offset > 0u) {
        sum += partial[at];
      }
      partial[at] = sum;
      g0 *= exp(now0.x * a0);
      g1 *= exp(now1.x * a1);
      g2 *= exp(now2.x * a2);
      g3 *= exp(now3.x * a3);
    }
  }
}
