// The gradients of the selective scan inside each chunk of at most CHUNK steps. First forwards from the
// state that enters it, keeping each step's state before; then backwards, with g the gradient of h:
//   g += c * y_gradient,  y = sum over states of c * h,
//   input_gradient = delta * sum over states of g * b,
//   delta_gradient = sum over states of g * (a * exp(delta * a) * h[t - 1] + input * b),
//   a_gradient = sum over t of g * delta * exp(delta * a) * h[t - 1],  g *= exp(delta * a).
// In place of step comes (delta_gradient, input_gradient, y, y_gradient), in place of carry the chunk's
// a_gradient, and in place of gradient_carry the gradient of the state that enters the chunk.
// Sixteen states in registers. Dispatch: x = ceil(channels / LANES), y = chunks, z = batch.

override LANES: u32 = 64u;

const CHUNK: u32 = 16u;

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
@group(0) @binding(1) var<storage, read> a: array<f32>; // [channels, state]
@group(0) @binding(2) var<storage, read> b: array<f32>; // [batch, time, state]
@group(0) @binding(3) var<storage, read> c: array<f32>; // [batch, time, state]
@group(0) @binding(4) var<storage, read_write> step: array<vec4f>; // [batch, time, channels]: delta, input, y_gradient
@group(0) @binding(5) var<storage, read_write> carry: array<f32>; // [chunks, batch, channels, state]
@group(0) @binding(6) var<storage, read_write> gradient_carry: array<f32>; // [chunks, batch, channels, state]

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

// Writes states first_state + n to first_state + n + 3 of row `row`, as far as there are any.
fn store_carry(row: u32, n: u32, value: vec4f) {
  let state = shape.first_state + n;
  let at = row * shape.state + state;
  if (state < shape.state) {
    carry[at] = value.x;
  }
  if (state + 1u < shape.state) {
    carry[at + 1u] = value.y;
  }
  if (state + 2u < shape.state) {
    carry[at + 2u] = value.z;
  }
  if (state + 3u < shape.state) {
    carry[at + 3u] = value.w;
  }
}

// Writes states first_state + n to first_state + n + 3 of row `row`, as far as there are any.
fn store_gradient_carry(row: u32, n: u32, value: vec4f) {
  let state = shape.first_state + n;
  let at = row * shape.state + state;
  if (state < shape.state) {
    gradient_carry[at] = value.x;
  }
  if (state + 1u < shape.state) {
    gradient_carry[at + 1u] = value.y;
  }
  if (state + 2u < shape.state) {
    gradient_carry[at + 2u] = value.z;
  }
  if (state + 3u < shape.state) {
    gradient_carry[at + 3u] = value.w;
  }
}

@compute @workgroup_size(LANES)
fn selective_scan_backward(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let channel = workgroup.x * LANES + local;
  if (channel >= shape.channels) {
    return;
  }
  let batch = workgroup.z;
  let first = workgroup.y * CHUNK;
  let steps = min(CHUNK, shape.time - first);
  let entering = (workgroup.y * shape.batch + batch) * shape.channels + channel;
  let a0 = fetch_a(channel, 0u);
  let a1 = fetch_a(channel, 4u);
  let a2 = fetch_a(channel, 8u);
  let a3 = fetch_a(channel, 12u);
  var h0 = fetch_carry(entering, 0u);
  var h1 = fetch_carry(entering, 4u);
  var h2 = fetch_carry(entering, 8u);
  var h3 = fetch_carry(entering, 12u);

  var history: array<vec4f, CHUNK * 4u>;
  for (var i = 0u; i < steps; i++) {
    let row = batch * shape.time + first + i;
    let now = step[row * shape.channels + channel];
    let du = now.x * now.y;
    history[i * 4u + 0u] = h0;
    history[i * 4u + 1u] = h1;
    history[i * 4u + 2u] = h2;
    history[i * 4u + 3u] = h3;
    h0 = exp(now.x * a0) * h0 + du * fetch_b(row, 0u);
    h1 = exp(now.x * a1) * h1 + du * fetch_b(row, 4u);
    h2 = exp(now.x * a2) * h2 + du * fetch_b(row, 8u);
    h3 = exp(now.x * a3) * h3 + du * fetch_b(row, 12u);
  }

  var g0 = fetch_gradient_carry(entering, 0u);
  var g1 = fetch_gradient_carry(entering, 4u);
  var g2 = fetch_gradient_carry(entering, 8u);
  var g3 = fetch_gradient_carry(entering, 12u);
  var a_gradient0 = vec4f(0.0);
  var a_gradient1 = vec4f(0.0);
  var a_gradient2 = vec4f(0.0);
  var a_gradient3 = vec4f(0.0);
  for (var behind = 0u; behind < steps; behind++) {
    let i = steps - 1u - behind;
    let row = batch * shape.time + first + i;
    let at = row * shape.channels + channel;
    let now = step[at];
    var y = 0.0;
    var along_b = 0.0;
    var along_a = 0.0;
    {
      let c_now = fetch_c(row, 0u);
      g0 += c_now * now.z;
      y += dot(c_now, h0);
      along_b += dot(g0, fetch_b(row, 0u));
      h0 = history[i * 4u + 0u];
      g0 *= exp(now.x * a0);
      let decay_gradient = g0 * h0;
      along_a += dot(decay_gradient, a0);
      a_gradient0 += decay_gradient * now.x;
    }
    {
      let c_now = fetch_c(row, 4u);
      g1 += c_now * now.z;
      y += dot(c_now, h1);
      along_b += dot(g1, fetch_b(row, 4u));
      h1 = history[i * 4u + 1u];
      g1 *= exp(now.x * a1);
      let decay_gradient = g1 * h1;
      along_a += dot(decay_gradient, a1);
      a_gradient1 += decay_gradient * now.x;
    }
    {
      let c_now = fetch_c(row, 8u);
      g2 += c_now * now.z;
      y += dot(c_now, h2);
      along_b += dot(g2, fetch_b(row, 8u));
      h2 = history[i * 4u + 2u];
      g2 *= exp(now.x * a2);
      let decay_gradient = g2 * h2;
      along_a += dot(decay_gradient, a2);
      a_gradient2 += decay_gradient * now.x;
    }
    {
      let c_now = fetch_c(row, 12u);
      g3 += c_now * now.z;
      y += dot(c_now, h3);
      along_b += dot(g3, fetch_b(row, 12u));
      h3 = history[i * 4u + 3u];
      g3 *= exp(now.x * a3);
      let decay_gradient = g3 * h3;
      along_a += dot(decay_gradient, a3);
      a_gradient3 += decay_gradient * now.x;
    }
    step[at] = vec4f(along_a + now.y * along_b, now.x * along_b, y, now.w);
  }
  store_carry(entering, 0u, a_gradient0);
  store_carry(entering, 4u, a_gradient1);
  store_carry(entering, 8u, a_gradient2);
  store_carry(entering, 12u, a_gradient3);
  store_gradient_carry(entering, 0u, g0);
  store_gradient_carry(entering, 4u, g1);
  store_gradient_carry(entering, 8u, g2);
  store_gradient_carry(entering, 12u, g3);
}
