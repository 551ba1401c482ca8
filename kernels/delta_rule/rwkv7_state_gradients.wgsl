// Carries the state's gradient G backward over the chunks of a sequence; in each chunk, with P = INVERSE:
//   dU = RECEPTANCE_Bᵀ dO + B_OUT G      dY = Pᵀ dU (the gradient into A_IN S + A_KEY V)
//   G' = exp(c') * G + RECEPTANCE_INᵀ dO + A_INᵀ dY.
// Slot by slot, state_gradients is the gradient into rwkv7_states' states.
// Dispatch: x = sequences, y = heads, z = blocks of LANES value quads; one invocation a quad of columns.

override LANES: u32 = 32u;

const DECAY = 4u;
const RECEPTANCE_IN = 5u;
const A_IN = 6u;
const B_OUT = 8u;
const RECEPTANCE_B = 1u;
const INVERSE = 4u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> sequences: array<vec2u>; // [sequences]: first chunk, chunks
@group(0) @binding(2) var<storage, read> panels: array<vec4f>; // [chunks, heads, 9, chunk, key_quads]
@group(0) @binding(3) var<storage, read> pairs: array<vec4f>; // [chunks, heads, 5, chunk, chunk / 4]
@group(0) @binding(4) var<storage, read> output_gradient: array<vec4f>; // [chunks, heads, chunk, value_quads]
@group(0) @binding(5) var<storage, read_write> solved: array<vec4f>; // [chunks, heads, chunk, value_quads]: dY
@group(0) @binding(6) var<storage, read_write> state_gradients: array<vec4f>; // [slots, heads, 4 * key_quads, value_quads]
@group(0) @binding(7) var<storage, read_write> state_gradient: array<f32>; // [sequences, heads, key_dim, value_dim]

fn panel_rows(at: u32) -> mat4x4f {
  let next = shape.key_quads;
  return mat4x4f(panels[at], panels[at + next], panels[at + 2u * next], panels[at + 3u * next]);
}

fn pair_rows(at: u32) -> mat4x4f {
  let next = shape.chunk / 4u;
  return mat4x4f(pairs[at], pairs[at + next], pairs[at + 2u * next], pairs[at + 3u * next]);
}

fn output_rows(at: u32) -> mat4x4f {
  let next = shape.value_quads;
  return mat4x4f(
    output_gradient[at],
    output_gradient[at + next],
    output_gradient[at + 2u * next],
    output_gradient[at + 3u * next],
  );
}

fn solved_rows(at: u32) -> mat4x4f {
  let next = shape.value_quads;
  return mat4x4f(solved[at], solved[at + next], solved[at + 2u * next], solved[at + 3u * next]);
}

fn store_solved(at: u32, rows: mat4x4f) {
  let next = shape.value_quads;
  solved[at] = rows[0];
  solved[at + next] = rows[1];
  solved[at + 2u * next] = rows[2];
  solved[at + 3u * next] = rows[3];
}

fn state_rows(at: u32) -> mat4x4f {
  let next = shape.value_quads;
  return mat4x4f(
    state_gradients[at],
    state_gradients[at + next],
    state_gradients[at + 2u * next],
    state_gradients[at + 3u * next],
  );
}

fn store_state(at: u32, rows: mat4x4f) {
  let next = shape.value_quads;
  state_gradients[at] = rows[0];
  state_gradients[at + next] = rows[1];
  state_gradients[at + 2u * next] = rows[2];
  state_gradients[at + 3u * next] = rows[3];
}

@compute @workgroup_size(LANES)
fn rwkv7_state_gradients(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let column = workgroup.z * LANES + local.x;
  let sequence = sequences[workgroup.x];
  if (column >= shape.value_quads || sequence.y == 0u) {
    return;
  }
  let head = workgroup.y;
  let width = shape.value_quads;
  let key_rows = 4u * shape.key_quads;
  let slot = shape.heads * key_rows * width; // from one state to the next
  var at = ((sequence.x + workgroup.x + sequence.y) * shape.heads + head) * key_rows * width + column;
  let outside = (workgroup.x * shape.heads + head) * shape.key_dim * shape.value_dim + 4u * column;
  let valid = 4u * column + vec4u(0u, 1u, 2u, 3u) < vec4u(shape.value_dim);
  for (var d = 0u; d < key_rows; d++) {
    let i = outside + d * shape.value_dim;
    state_gradients[at + d * width] = select(
      vec4f(),
      vec4f(
        state_gradient[i], state_gradient[i + 1u], state_gradient[i + 2u], state_gradient[i + 3u],
      ),
      valid & vec4<bool>(d < shape.key_dim),
    );
  }
  let panel = shape.chunk * shape.key_quads;
  let pair_quads = shape.chunk / 4u;
  for (var n = sequence.y; n > 0u; n--) {
    let unit = (sequence.x + n - 1u) * shape.heads + head;
    let rows = unit * shape.chunk * width + column;
    let receptance_b = (unit * 5u + RECEPTANCE_B) * shape.chunk * pair_quads;
    let b_out = (unit * 9u + B_OUT) * panel;
    for (var j = 0u; j < shape.chunk; j += 16u) {
      var sum0 = mat4x4f();
      var sum1 = mat4x4f();
      var sum2 = mat4x4f();
      var sum3 = mat4x4f();
      for (var i = j; i < shape.chunk; i += 4u) {
        let o = output_rows(rows + i * width);
        let p = receptance_b + i * pair_quads + j / 4u;
        sum0 += o * transpose(pair_rows(p));
        sum1 += o * transpose(pair_rows(p + 1u));
        sum2 += o * transpose(pair_rows(p + 2u));
        sum3 += o * transpose(pair_rows(p + 3u));
      }
      for (var d = 0u; d < shape.key_quads; d++) {
        let g = state_rows(at + 4u * d * width);
        let b = b_out + j * shape.key_quads + d;
        sum0 += g * panel_rows(b);
        sum1 += g * panel_rows(b + 4u * shape.key_quads);
        sum2 += g * panel_rows(b + 8u * shape.key_quads);
        sum3 += g * panel_rows(b + 12u * shape.key_quads);
      }
      store_solved(rows + j * width, sum0);
      store_solved(rows + (j + 4u) * width, sum1);
      store_solved(rows + (j + 8u) * width, sum2);
      store_solved(rows + (j + 12u) * width, sum3);
    }
    // In place: rows from j on are still dU when row j of dY is summed.
    let inverse = (unit * 5u + INVERSE) * shape.chunk * pair_quads;
    for (var j = 0u; j < shape.chunk; j += 16u) {
      var sum0 = mat4x4f();
      var sum1 = mat4x4f();
      var sum2 = mat4x4f();
      var sum3 = mat4x4f();
      for (var i = j; i < shape.chunk; i += 4u) {
        let u = solved_rows(rows + i * width);
        let p = inverse + i * pair_quads + j / 4u;
        sum0 += u * transpose(pair_rows(p));
        sum1 += u * transpose(pair_rows(p + 1u));
        sum2 += u * transpose(pair_rows(p + 2u));
        sum3 += u * transpose(pair_rows(p + 3u));
      }
      store_solved(rows + j * width, sum0);
      store_solved(rows + (j + 4u) * width, sum1);
      store_solved(rows + (j + 8u) * width, sum2);
      store_solved(rows + (j + 12u) * width, sum3);
    }
    let receptance_in = (unit * 9u + RECEPTANCE_IN) * panel;
    let a_in = (unit * 9u + A_IN) * panel;
    let last = (unit * 9u + DECAY) * panel + (shape.chunk - 1u) * shape.key_quads;
    for (var d = 0u; d < shape.key_quads; d += 4u) {
      let g = at + 4u * d * width;
      var sum0 = scaled(state_rows(g), exp(panels[last + d]));
      var sum1 = scaled(state_rows(g + 4u * width), exp(panels[last + d + 1u]));
      var sum2 = scaled(state_rows(g + 8u * width), exp(panels[last + d + 2u]));
      var sum3 = scaled(state_rows(g + 12u * width), exp(panels[last + d + 3u]));
      for (var i = 0u; i < shape.chunk; i += 4u) {
        let o = output_rows(rows + i * width);
        let r = receptance_in + i * shape.key_quads + d;
        sum0 += o * transpose(panel_rows(r));
        sum1 += o * transpose(panel_rows(r + 1u));
        sum2 += o * transpose(panel_rows(r + 2u));
        sum3 += o * transpose(panel_rows(r + 3u));
      }
      for (var i = 0u; i < shape.chunk; i += 4u) {
        let y = solved_rows(rows + i * width);
        let a = a_in + i * shape.key_quads + d;
        sum0 += y * transpose(panel_rows(a));
        sum1 += y * transpose(panel_rows(a + 1u));
        sum2 += y * transpose(panel_rows(a + 2u));
        sum3 += y * transpose(panel_rows(a + 3u));
      }
      store_state(g - slot, sum0);
      store_state(g - slot + 4u * width, sum1);
      store_state(g - slot + 8u * width, sum2);
      store_state(g - slot + 12u * width, sum3);
    }
    at -= slot;
  }
  for (var d = 0u; d < shape.key_dim; d++) {
    let i = outside + d * shape.value_dim;
    let values = state_gradients[at + d * width];
    state_gradient[i] = values.x;
    if (valid.y) {
      state_gradient[i + 1u] = values.y;
    }
    if (valid.z) {
      state_gradient[i + 2u] = values.z;
    }
    if (valid.w) {
      state_gradient[i + 3u] = values.w;
    }
  }
}
