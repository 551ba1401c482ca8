// What a chunk of the selective scan does to the state that enters it and, on the way back, to the
// gradient of the state that leaves it, both from one walk forwards. With q = exp(a * the sum of delta so far):
//   leaving = exp(a * delta_sum) * entering + sum,
//   entering_gradient = exp(a * delta_sum) * leaving_gradient + gradient_sum,
//   gradient_sum = sum over t of q * c * y_gradient.
// Sixteen states in registers. Dispatch: x = ceil(channels / LANES), y = chunks, z = batch.

override LANES: u32 = 64u;

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
@group(0) @binding(5) var<storage, read_write> sum: array<f32>; // [chunks, batch, channels, state]
@group(0) @binding(6) var<storage, read_write> gradient_sum: array<f32>; // [chunks, batch, channels, state]
@group(0) @binding(7) var<storage, read_write> delta_sum: array<f32>; // [chunks, batch, channels]

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

// Writes states first_state + n to first_state + n + 3 of row `row`, as far as there are any.
fn store_sum(row: u32, n: u32, value: vec4f) {
  let state = shape.first_state + n;
  let at = row * shape.state + state;
  if (state < shape.state) {
    sum[at] = value.x;
  }
  if (state + 1u < shape.state) {
    sum[at + 1u] = value.y;
  }
  if (state + 2u < shape.state) {
    sum[at + 2u] = value.z;
  }
  if (state + 3u < shape.state) {
    sum[at + 3u] = value.w;
  }
}

// Writes states first_state + n to first_state + n + 3 of row `row`, as far as there are any.
fn store_gradient_sum(row: u32, n: u32, value: vec4f) {
  let state = shape.first_state + n;
  let at = row * shape.state + state;
  if (state < shape.state) {
    gradient_sum[at] = value.x;
  }
  if (state + 1u < shape.state) {
    gradient_sum[at + 1u] = value.y;
  }
  if (state + 2u < shape.state) {
    gradient_sum[at + 2u] = value.z;
  }
  if (state + 3u < shape.state) {
    gradient_sum[at + 3u] = value.w;
  }
}

@compute @workgroup_size(LANES)
fn selective_scan_backward_chunk(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let channel = workgroup.x * LANES + local;
  if (channel >= shape.channels) {
    return;
  }
  let batch = workgroup.z;
  let first = workgroup.y * shape.chunk_size;
  let last = min(first + shape.chunk_size, shape.time);
  let a0 = fetch_a(channel, 0u);
  let a1 = fetch_a(channel, 4u);
  let a2 = fetch_a(channel, 8u);
  let a3 = fetch_a(channel, 12u);
  var h0 = vec4f(0.0);
  var h1 = vec4f(0.0);
  var h2 = vec4f(0.0);
  var h3 = vec4f(0.0);
  var q0 = vec4f(1.0);
  var q1 = vec4f(1.0);
  var q2 = vec4f(1.0);
  var q3 = vec4f(1.0);
  var g0 = vec4f(0.0);
  var g1 = vec4f(0.0);
  var g2 = vec4f(0.0);
  var g3 = vec4f(0.0);
  var total = 0.0;
  for (var t = first; t < last; t++) {
    let row = batch * shape.time + t;
    let now = step[row * shape.channels + channel];
    let du = now.x * now.y;
    let e0 = exp(now.x * a0);
    let e1 = exp(now.x * a1);
    let e2 = exp(now.x * a2);
    let e3 = exp(now.x * a3);
    h0 = e0 * h0 + du * fetch_b(row, 0u);
    h1 = e1 * h1 + du * fetch_b(row, 4u);
    h2 = e2 * h2 + du * fetch_b(row, 8u);
    h3 = e3 * h3 + du * fetch_b(row, 12u);
    q0 *= e0;
    q1 *= e1;
    q2 *= e2;
    q3 *= e3;
    g0 += q0 * now.z * fetch_c(row, 0u);
    g1 += q1 * now.z * fetch_c(row, 4u);
    g2 += q2 * now.z * fetch_c(row, 8u);
    g3 += q3 * now.z * fetch_c(row, 12u);
    total += now.x;
  }
  let at = (workgroup.y * shape.batch + batch) * shape.channels + channel;
  store_sum(at, 0u, h0);
  store_sum(at, 4u, h1);
  store_sum(at, 8u, h2);
  store_sum(at, 12u, h3);
  store_gradient_sum(at, 0u, g0);
  store_gradient_sum(at, 4u, g1);
  store_gradient_sum(at, 8u, g2);
  store_gradient_sum(at, 12u, g3);
  delta_sum[at] = total;
}
