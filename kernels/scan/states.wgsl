// The selective state space: what the kernels that carry its states through time share. An invocation
// carries STATES states of a channel, from first_state on, as FOURS vectors; more take as many rounds.

const FOURS = 4u;
const STATES = 4u * FOURS;

struct Shape {
  batch: u32,
  time: u32,
  channels: u32,
  state: u32,
  first_state: u32, // of the STATES that this dispatch carries
  chunks: u32, // of this dispatch
  chunk_size: u32,
  first_chunk: u32, // of this dispatch
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> a: array<f32>; // [channels, state]
@group(0) @binding(2) var<storage, read> b: array<f32>; // [batch, time, state]
@group(0) @binding(3) var<storage, read> c: array<f32>; // [batch, time, state]

// Which states the vector `four` holds; those from shape.state on do not exist.
fn states(four: u32) -> vec4u {
  return shape.first_state + 4u * four + vec4u(0u, 1u, 2u, 3u);
}

// Those of `value` that exist, else 0.
fn existing(four: u32, value: vec4f) -> vec4f {
  return select(vec4f(0.0), value, states(four) < vec4u(shape.state));
}

// -1 for those that do not exist: an infinite delta times 0 would be NaN.
fn fetch_a(row: u32, four: u32) -> vec4f {
  let at = row * shape.state + states(four);
  let value = vec4f(a[at.x], a[at.y], a[at.z], a[at.w]);
  return select(vec4f(-1.0), value, states(four) < vec4u(shape.state));
}

fn fetch_b(row: u32, four: u32) -> vec4f {
  let at = row * shape.state + states(four);
  return existing(four, vec4f(b[at.x], b[at.y], b[at.z], b[at.w]));
}

fn fetch_c(row: u32, four: u32) -> vec4f {
  let at = row * shape.state + states(four);
  return existing(four, vec4f(c[at.x], c[at.y], c[at.z], c[at.w]));
}
