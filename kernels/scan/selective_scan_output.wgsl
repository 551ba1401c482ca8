// The selective scan inside each chunk, from the state that enters it:
//   h = exp(delta * a) * h + delta * input * b,  output = sum over states of c * h.
// Sixteen states in registers. Dispatch: x = ceil(channels / LANES), y = chunks from first_chunk on, z = batch.

override LANES: u32 = 64u;
override ACCUMULATE: bool = false; // add to the output of the states before

struct Shape {
  batch: u32,
  time: u32,
  channels: u32,
  state: u32,
  first_state: u32, // of the sixteen that this dispatch carries
  chunks: u32, // of the dispatch
  chunk_size: u32,
  first_chunk: u32, // of the dispatch; carry and final_state are the dispatch's own
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> input: array<f32>; // [batch, time, channels]
@group(0) @binding(2) var<storage, read> delta: array<f32>; // [batch, time, channels]
@group(0) @binding(3) var<storage, read> a: array<f32>; // [channels, state]
@group(0) @binding(4) var<storage, read> b: array<f32>; // [batch, time, state]
@group(0) @binding(5) var<storage, read> c: array<f32>; // [batch, time, state]
@if(HAS_CARRY)
@group(0) @binding(6) var<storage, read> carry: array<f32>; // [chunks, batch, channels, state]; else every chunk starts from 0
@group(0) @binding(7) var<storage, read_write> output: array<f32>; // [batch, time, channels]
@group(0) @binding(8) var<storage, read_write> final_state: array<f32>; // [batch, channels, state]

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

// Writes states first_state + n to first_state + n + 3 of row `row`, as far as there are any.
fn store_final_state(row: u32, n: u32, value: vec4f) {
  let state = shape.first_state + n;
  let at = row * shape.state + state;
  if (state < shape.state) {
    final_state[at] = value.x;
  }
  if (state + 1u < shape.state) {
    final_state[at + 1u] = value.y;
  }
  if (state + 2u < shape.state) {
    final_state[at + 2u] = value.z;
  }
  if (state + 3u < shape.state) {
    final_state[at + 3u] = value.w;
  }
}

@compute @workgroup_size(LANES)
fn selective_scan_output(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let channel = workgroup.x * LANES + local;
  if (channel >= shape.channels) {
    return;
  }
  let batch = workgroup.z;
  let first = (shape.first_chunk + workgroup.y) * shape.chunk_size;
  let last = min(first + shape.chunk_size, shape.time);
  let a0 = fetch_a(channel, 0u);
  let a1 = fetch_a(channel, 4u);
  let a2 = fetch_a(channel, 8u);
  let a3 = fetch_a(channel, 12u);
  var h0 = vec4f(0.0);
  var h1 = vec4f(0.0);
  var h2 = vec4f(0.0);
  var h3 = vec4f(0.0);
  @if(HAS_CARRY) {
    let entering = (workgroup.y * shape.batch + batch) * shape.channels + channel;
    h0 = fetch_carry(entering, 0u);
    h1 = fetch_carry(entering, 4u);
    h2 = fetch_carry(entering, 8u);
    h3 = fetch_carry(entering, 12u);
  }
  for (var t = first; t < last; t++) {
    let row = batch * shape.time + t;
    let at = row * shape.channels + channel;
    let d = delta[at];
    let du = d * input[at];
    h0 = exp(d * a0) * h0 + du * fetch_b(row, 0u);
    h1 = exp(d * a1) * h1 + du * fetch_b(row, 4u);
    h2 = exp(d * a2) * h2 + du * fetch_b(row, 8u);
    h3 = exp(d * a3) * h3 + du * fetch_b(row, 12u);
    var y = dot(fetch_c(row, 0u), h0) + dot(fetch_c(row, 4u), h1) + dot(fetch_c(row, 8u), h2) +
      dot(fetch_c(row, 12u), h3);
    if (ACCUMULATE) {
      y += output[at];
    }
    output[at] = y;
  }
  if (workgroup.y == shape.chunks - 1u) {
    let leaving = batch * shape.channels + channel;
    store_final_state(leaving, 0u, h0);
    store_final_state(leaving, 4u, h1);
    store_final_state(leaving, 8u, h2);
    store_final_state(leaving, 12u, h3);
  }
}
