// Carries the state's gradient G backward over the chunks of a sequence; in each chunk, with P = INVERSE:
//   dW = QUERY_KEYᵀ dO + KEY_OUT G      dY = Pᵀ dW (the gradient into β * R)
//   G' = exp(c') * G + QUERY_INᵀ dO - KEY_INᵀ (β * dY).
// Without β, for RWKV-7, whose names are RECEPTANCE_B, B_OUT, RECEPTANCE_IN and A_IN, 1 stands for -β.
// Here states and state are gradients, slot by slot those into the states of the forward pass.
// Dispatch: x = sequences, y = heads, z = blocks of LANES value quads; one invocation a quad of columns.

override LANES: u32 = 32u;
override PANELS: u32 = 6u;
override PAIRS: u32 = 3u;
override HAS_BETA: bool = true;

const DECAY = 2u;
const QUERY_IN = 3u;
const KEY_IN = 4u;
const KEY_OUT = 5u;
const QUERY_KEY = 0u;
const INVERSE = 2u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> sequences: array<vec2u>; // [sequences]: first chunk, chunks
@group(0) @binding(2) var<storage, read> panels: array<vec4f>; // [chunks, heads, PANELS, chunk, key_quads]
@group(0) @binding(3) var<storage, read> pairs: array<vec4f>; // [chunks, heads, PAIRS, chunk, chunk / 4]
@group(0) @binding(4) var<storage, read> beta: array<f32>; // [chunks, heads, chunk]
@group(0) @binding(5) var<storage, read> output_gradient: array<vec4f>; // [chunks, heads, chunk, value_quads]
@group(0) @binding(6) var<storage, read_write> solved: array<vec4f>; // [chunks, heads, chunk, value_quads]: dY
@group(0) @binding(7) var<storage, read_write> states: array<vec4f>; // [slots, heads, 4 * key_quads, value_quads]
@group(0) @binding(8) var<storage, read_write> state: array<f32>; // [sequences, heads, key_dim, value_dim]

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

// What four rows of dY are multiplied by on their way into KEY_IN S.
fn factors(row: u32) -> vec4f {
  if (HAS_BETA) {
    return -vec4f(beta[row], beta[row + 1u], beta[row + 2u], beta[row + 3u]);
  }
  return vec4f(1.0);
}

@compute @workgroup_size(LANES)
fn delta_rule_state_gradients(
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
  load_state(at, workgroup.x, head, column);
  let panel = shape.chunk * shape.key_quads;
  let pair_quads = shape.chunk / 4u;
  for (var n = sequence.y; n > 0u; n--) {
    let unit = (sequence.x + n - 1u) * shape.heads + head;
    let rows = unit * shape.chunk * width + column;
    let query_key = (unit * PAIRS + QUERY_KEY) * shape.chunk * pair_quads;
    let key_out = (unit * PANELS + KEY_OUT) * panel;
    for (var j = 0u; j < shape.chunk; j += 16u) {
      var sum0 = mat4x4f();
      var sum1 = mat4x4f();
      var sum2 = mat4x4f();
      var sum3 = mat4x4f();
      for (var i = j; i < shape.chunk; i += 4u) {
        let o = output_rows(rows + i * width);
        let a = query_key + i * pair_quads + j / 4u;
        sum0 += o * transpose(pair_rows(a));
        sum1 += o * transpose(pair_rows(a + 1u));
        sum2 += o * transpose(pair_rows(a + 2u));
        sum3 += o * transpose(pair_rows(a + 3u));
      }
      for (var d = 0u; d < shape.key_quads; d++) {
        let g = state_rows(at + 4u * d * width);
        let k = key_out + j * shape.key_quads + d;
        sum0 += g * panel_rows(k);
        sum1 += g * panel_rows(k + 4u * shape.key_quads);
        sum2 += g * panel_rows(k + 8u * shape.key_quads);
        sum3 += g * panel_rows(k + 12u * shape.key_quads);
      }
      store_solved(rows + j * width, sum0);
      store_solved(rows + (j + 4u) * width, sum1);
      store_solved(rows + (j + 8u) * width, sum2);
      store_solved(rows + (j + 12u) * width, sum3);
    }
    // In place: rows from j on are still dW when row j of dY is summed.
    let inverse = (unit * PAIRS + INVERSE) * shape.chunk * pair_quads;
    for (var j = 0u; j < shape.chunk; j += 16u) {
      var sum0 = mat4x4f();
      var sum1 = mat4x4f();
      var sum2 = mat4x4f();
      var sum3 = mat4x4f();
      for (var i = j; i < shape.chunk; i += 4u) {
        let w = solved_rows(rows + i * width);
        let p = inverse + i * pair_quads + j / 4u;
        sum0 += w * transpose(pair_rows(p));
        sum1 += w * transpose(pair_rows(p + 1u));
        sum2 += w * transpose(pair_rows(p + 2u));
        sum3 += w * transpose(pair_rows(p + 3u));
      }
      store_solved(rows + j * width, sum0);
      store_solved(rows + (j + 4u) * width, sum1);
      store_solved(rows + (j + 8u) * width, sum2);
      store_solved(rows + (j + 12u) * width, sum3);
    }
    let query_in = (unit * PANELS + QUERY_IN) * panel;
    let key_in = (unit * PANELS + KEY_IN) * panel;
    let last = (unit * PANELS + DECAY) * panel + (shape.chunk - 1u) * shape.key_quads;
    for (var d = 0u; d < shape.key_quads; d += 4u) {
      let g = at + 4u * d * width;
      var sum0 = scaled(state_rows(g), exp(panels[last + d]));
      var sum1 = scaled(state_rows(g + 4u * width), exp(panels[last + d + 1u]));
      var sum2 = scaled(state_rows(g + 8u * width), exp(panels[last + d + 2u]));
      var sum3 = scaled(state_rows(g + 12u * width), exp(panels[last + d + 3u]));
      for (var i = 0u; i < shape.chunk; i += 4u) {
        let o = output_rows(rows + i * width);
        let q = query_in + i * shape.key_quads + d;
        sum0 += o * transpose(panel_rows(q));
        sum1 += o * transpose(panel_rows(q + 1u));
        sum2 += o * transpose(panel_rows(q + 2u));
        sum3 += o * transpose(panel_rows(q + 3u));
      }
      for (var i = 0u; i < shape.chunk; i += 4u) {
        let y = scaled(solved_rows(rows + i * width), factors(unit * shape.chunk + i));
        let k = key_in + i * shape.key_quads + d;
        sum0 += y * transpose(panel_rows(k));
        sum1 += y * transpose(panel_rows(k + 1u));
        sum2 += y * transpose(panel_rows(k + 2u));
        sum3 += y * transpose(panel_rows(k + 3u));
      }
      store_state(g - slot, sum0);
      store_state(g - slot + 4u * width, sum1);
      store_state(g - slot + 8u * width, sum2);
      store_state(g - slot + 12u * width, sum3);
    }
    at -= slot;
  }
  save_state(at, workgroup.x, head, column);
}
