// Carries the state S over the chunks of a sequence; in each chunk, with P = INVERSE:
//   update: U = P (A_IN S + A_KEY V)      S' = exp(c') * S + KEY_OUTᵀ V + B_OUTᵀ U.
// Every product is column by column, so that an invocation walks alone and no barrier is needed.
// Dispatch: x = sequences, y = heads, z = blocks of LANES value quads; one invocation a quad of columns.

override LANES: u32 = 32u;

const DECAY = 2u;
const A_IN = 4u;
const B_OUT = 5u;
const KEY_OUT = 8u;
const INVERSE = 2u;
const A_KEY = 4u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> sequences: array<vec2u>; // [sequences]: first chunk, chunks
@group(0) @binding(2) var<storage, read> panels: array<vec4f>; // [chunks, heads, 9, chunk, key_quads]
@group(0) @binding(3) var<storage, read> pairs: array<vec4f>; // [chunks, heads, 5, chunk, chunk / 4]
@group(0) @binding(4) var<storage, read> value: array<vec4f>; // [chunks, heads, chunk, value_quads]
@group(0) @binding(5) var<storage, read_write> update: array<vec4f>; // [chunks, heads, chunk, value_quads]
@group(0) @binding(6) var<storage, read_write> states: array<vec4f>; // [slots, heads, 4 * key_quads, value_quads]
@group(0) @binding(7) var<storage, read_write> state: array<f32>; // [sequences, heads, key_dim, value_dim]

fn value_rows(at: u32) -> mat4x4f {
  let next = shape.value_quads;
  return mat4x4f(value[at], value[at + next], value[at + 2u * next], value[at + 3u * next]);
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
fn rwkv7_states(
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
    let a_in = (unit * 9u + A_IN) * panel;
    let a_key = (unit * 5u + A_KEY) * shape.chunk * pair_quads;
    for (var i = 0u; i < shape.chunk; i += 16u) {
      var sum0 = mat4x4f();
      var sum1 = mat4x4f();
      var sum2 = mat4x4f();
      var sum3 = mat4x4f();
      for (var d = 0u; d < shape.key_quads; d++) {
        let s = state_rows(at + 4u * d * width);
        let a = a_in + i * shape.key_quads + d;
        sum0 += s * panel_rows(a);
        sum1 += s * panel_rows(a + 4u * shape.key_quads);
        sum2 += s * panel_rows(a + 8u * shape.key_quads);
        sum3 += s * panel_rows(a + 12u * shape.key_quads);
      }
      for (var j = 0u; 4u * j < i + 16u; j++) {
        let v = value_rows(rows + 4u * j * width);
        let p = a_key + i * pair_quads + j;
        sum0 += v * pair_rows(p);
        sum1 += v * pair_rows(p + 4u * pair_quads);
        sum2 += v * pair_rows(p + 8u * pair_quads);
        sum3 += v * pair_rows(p + 12u * pair_quads);
      }
      store_update(rows + i * width, sum0);
      store_update(rows + (i + 4u) * width, sum1);
      store_update(rows + (i + 8u) * width, sum2);
      store_update(rows + (i + 12u) * width, sum3);
    }
    // In place, from the last rows up: the rows before are not yet multiplied when they are read.
    let inverse = (unit * 5u + INVERSE) * shape.chunk * pair_quads;
    for (var end = shape.chunk; end > 0u; end -= 16u) {
      let i = end - 16u;
      var sum0 = mat4x4f();
      var sum1 = mat4x4f();
      var sum2 = mat4x4f();
      var sum3 = mat4x4f();
      for (var j = 0u; 4u * j < end; j++) {
        let y = update_rows(rows + 4u * j * width);
        let p = inverse + i * pair_quads + j;
        sum0 += y * pair_rows(p);
        sum1 += y * pair_rows(p + 4u * pair_quads);
        sum2 += y * pair_rows(p + 8u * pair_quads);
        sum3 += y * pair_rows(p + 12u * pair_quads);
      }
      store_update(rows + i * width, sum0);
      store_update(rows + (i + 4u) * width, sum1);
      store_update(rows + (i + 8u) * width, sum2);
      store_update(rows + (i + 12u) * width, sum3);
    }
    let key_out = (unit * 9u + KEY_OUT) * panel;
    let b_out = (unit * 9u + B_OUT) * panel;
    let last = (unit * 9u + DECAY) * panel + (shape.chunk - 1u) * shape.key_quads;
    for (var d = 0u; d < shape.key_quads; d += 4u) {
      let s = at + 4u * d * width;
      var sum0 = scaled(state_rows(s), exp(panels[last + d]));
      var sum1 = scaled(state_rows(s + 4u * width), exp(panels[last + d + 1u]));
      var sum2 = scaled(state_rows(s + 8u * width), exp(panels[last + d + 2u]));
      var sum3 = scaled(state_rows(s + 12u * width), exp(panels[last + d + 3u]));
      for (var j = 0u; j < shape.chunk; j += 4u) {
        let v = value_rows(rows + j * width);
        let k = key_out + j * shape.key_quads + d;
        sum0 += v * transpose(panel_rows(k));
        sum1 += v * transpose(panel_rows(k + 1u));
        sum2 += v * transpose(panel_rows(k + 2u));
        sum3 += v * transpose(panel_rows(k + 3u));
      }
      for (var j = 0u; j < shape.chunk; j += 4u) {
        let u = update_rows(rows + j * width);
        let b = b_out + j * shape.key_quads + d;
        sum0 += u * transpose(panel_rows(b));
        sum1 += u * transpose(panel_rows(b + 1u));
        sum2 += u * transpose(panel_rows(b + 2u));
        sum3 += u * transpose(panel_rows(b + 3u));
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
