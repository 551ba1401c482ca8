// Carries the state S over the chunks of a sequence; in each chunk, with P = INVERSE:
//   residual: R = V - KEY_IN S      update: W = P (β * R)      S' = exp(c') * S + KEY_OUTᵀ W.
// Every product is column by column, so that an invocation walks alone and no barrier is needed.
// Dispatch: x = sequences, y = heads, z = blocks of LANES value quads; one invocation a quad of columns.

override LANES: u32 = 32u;

const DECAY = 2u;
const KEY_IN = 4u;
const KEY_OUT = 5u;
const INVERSE = 2u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> sequences: array<vec2u>; // [sequences]: first chunk, chunks
@group(0) @binding(2) var<storage, read> panels: array<vec4f>; // [chunks, heads, 6, chunk, key_quads]
@group(0) @binding(3) var<storage, read> pairs: array<vec4f>; // [chunks, heads, 3, chunk, chunk / 4]
@group(0) @binding(4) var<storage, read> beta: array<f32>; // [chunks, heads, chunk]
@group(0) @binding(5) var<storage, read_write> residual: array<vec4f>; // [chunks, heads, chunk, value_quads]; V before
@group(0) @binding(6) var<storage, read_write> update: array<vec4f>; // [chunks, heads, chunk, value_quads]
@group(0) @binding(7) var<storage, read_write> states: array<vec4f>; // [slots, heads, 4 * key_quads, value_quads]
@group(0) @binding(8) var<storage, read_write> state: array<f32>; // [sequences, heads, key_dim, value_dim]

fn residual_rows(at: u32) -> mat4x4f {
  let next = shape.value_quads;
  return mat4x4f(
    residual[at], residual[at + next], residual[at + 2u * next], residual[at + 3u * next],
  );
}

fn store_residual(at: u32, rows: mat4x4f) {
  let next = shape.value_quads;
  residual[at] = rows[0];
  residual[at + next] = rows[1];
  residual[at + 2u * next] = rows[2];
  residual[at + 3u * next] = rows[3];
}

fn update_rows(at: u32) -> mat4x4f {
  let next = shape.value_quads;
  return mat4x4f(update[at], update[at + next], update[at + 2u * next], update[at + 3u * next]);
}

fn store_update(at: u32, rows: mat4x4f) {
  let next = shape.value_quads;
  update[at] = rows[0];
  update[at + next] = rows[1];
  update[at + 2u * next] = rows[2];
  update[at + 3u * next] = rows[3];
}

@compute @workgroup_size(LANES)
fn delta_rule_states(
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
  var at = ((sequence.x + workgroup.x) * shape.heads + head) * key_rows * width + column;
  load_state(at, workgroup.x, head, column);
  let panel = shape.chunk * shape.key_quads;
  let pair_quads = shape.chunk / 4u;
  for (var n = 0u; n < sequence.y; n++) {
    let unit = (sequence.x + n) * shape.heads + head;
    let rows = unit * shape.chunk * width + column;
    let key_in = (unit * 6u + KEY_IN) * panel;
    for (var i = 0u; i < shape.chunk; i += 16u) {
      var sum0 = residual_rows(rows + i * width);
      var sum1 = residual_rows(rows + (i + 4u) * width);
      var sum2 = residual_rows(rows + (i + 8u) * width);
      var sum3 = residual_rows(rows + (i + 12u) * width);
      for (var d = 0u; d < shape.key_quads; d++) {
        let s = state_rows(at + 4u * d * width);
        let k = key_in + i * shape.key_quads + d;
        sum0 -= s * panel_rows(k);
        sum1 -= s * panel_rows(k + 4u * shape.key_quads);
        sum2 -= s * panel_rows(k + 8u * shape.key_quads);
        sum3 -= s * panel_rows(k + 12u * shape.key_quads);
      }
      store_residual(rows + i * width, sum0);
      store_residual(rows + (i + 4u) * width, sum1);
      store_residual(rows + (i + 8u) * width, sum2);
      store_residual(rows + (i + 12u) * width, sum3);
    }
    let inverse = (unit * 3u + INVERSE) * shape.chunk * pair_quads;
    for (var i = 0u; i < shape.chunk; i += 16u) {
      var sum0 = mat4x4f();
      var sum1 = mat4x4f();
      var sum2 = mat4x4f();
      var sum3 = mat4x4f();
      for (var j = 0u; 4u * j < i + 16u; j++) {
        let b = unit * shape.chunk + 4u * j;
        let r = scaled(
          residual_rows(rows + 4u * j * width),
          vec4f(beta[b], beta[b + 1u], beta[b + 2u], beta[b + 3u]),
        );
        let p = inverse + i * pair_quads + j;
        sum0 += r * pair_rows(p);
        sum1 += r * pair_rows(p + 4u * pair_quads);
        sum2 += r * pair_rows(p + 8u * pair_quads);
        sum3 += r * pair_rows(p + 12u * pair_quads);
      }
      store_update(rows + i * width, sum0);
      store_update(rows + (i + 4u) * width, sum1);
      store_update(rows + (i + 8u) * width, sum2);
      store_update(rows + (i + 12u) * width, sum3);
    }
    let key_out = (unit * 6u + KEY_OUT) * panel;
    let last = (unit * 6u + DECAY) * panel + (shape.chunk - 1u) * shape.key_quads;
    for (var d = 0u; d < shape.key_quads; d += 4u) {
      let s = at + 4u * d * width;
      var sum0 = scaled(state_rows(s), exp(panels[last + d]));
      var sum1 = scaled(state_rows(s + 4u * width), exp(panels[last + d + 1u]));
      var sum2 = scaled(state_rows(s + 8u * width), exp(panels[last + d + 2u]));
      var sum3 = scaled(state_rows(s + 12u * width), exp(panels[last + d + 3u]));
      for (var j = 0u; j < shape.chunk; j += 4u) {
        let w = update_rows(rows + j * width);
        let k = key_out + j * shape.key_quads + d;
        sum0 += w * transpose(panel_rows(k));
        sum1 += w * transpose(panel_rows(k + 1u));
        sum2 += w * transpose(panel_rows(k + 2u));
        sum3 += w * transpose(panel_rows(k + 3u));
      }
      store_state(s + slot, sum0);
      store_state(s + slot + 4u * width, sum1);
      store_state(s + slot + 8u * width, sum2);
      store_state(s + slot + 12u * width, sum3);
    }
    at += slot;
  }
  save_state(at, workgroup.x, head, column);
}
