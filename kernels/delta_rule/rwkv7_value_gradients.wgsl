// dV = RECEPTANCE_KEYᵀ dO + A_KEYᵀ dY + KEY_OUT G for each chunk, G the gradient of the state at its end.
// Dispatch: x = chunks, y = heads, z = blocks of LANES value quads; one invocation a quad of columns.

override LANES: u32 = 32u;

const KEY_OUT = 8u;
const RECEPTANCE_KEY = 3u;
const A_KEY = 4u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec4u>; // [chunks]: first row, rows, state slot
@group(0) @binding(2) var<storage, read> panels: array<vec4f>; // [chunks, heads, 9, chunk, key_quads]
@group(0) @binding(3) var<storage, read> pairs: array<vec4f>; // [chunks, heads, 5, chunk, chunk / 4]
@group(0) @binding(4) var<storage, read> output_gradient: array<vec4f>; // [chunks, heads, chunk, value_quads]
@group(0) @binding(5) var<storage, read> solved: array<vec4f>; // [chunks, heads, chunk, value_quads]: dY
@group(0) @binding(6) var<storage, read> state_gradients: array<vec4f>; // [slots, heads, 4 * key_quads, value_quads]
@group(0) @binding(7) var<storage, read_write> value_gradients: array<vec4f>; // [chunks, heads, chunk, value_quads]

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

fn state_rows(at: u32) -> mat4x4f {
  let next = shape.value_quads;
  return mat4x4f(
    state_gradients[at],
    state_gradients[at + next],
    state_gradients[at + 2u * next],
    state_gradients[at + 3u * next],
  );
}

fn store_values(at: u32, rows: mat4x4f) {
  let next = shape.value_quads;
  value_gradients[at] = rows[0];
  value_gradients[at + next] = rows[1];
  value_gradients[at + 2u * next] = rows[2];
  value_gradients[at + 3u * next] = rows[3];
}

@compute @workgroup_size(LANES)
fn rwkv7_value_gradients(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let column = workgroup.z * LANES + local.x;
  if (column >= shape.value_quads) {
    return;
  }
  let width = shape.value_quads;
  let pair_quads = shape.chunk / 4u;
  let pair_plane = shape.chunk * pair_quads;
  let unit = workgroup.x * shape.heads + workgroup.y;
  let slot = (chunks[workgroup.x].z + 1u) * shape.heads + workgroup.y;
  let rows = unit * shape.chunk * width + column;
  let state = slot * 4u * shape.key_quads * width + column;
  let key_out = (unit * 9u + KEY_OUT) * shape.chunk * shape.key_quads;
  for (var j = 0u; j < shape.chunk; j += 16u) {
    var sum0 = mat4x4f();
    var sum1 = mat4x4f();
    var sum2 = mat4x4f();
    var sum3 = mat4x4f();
    for (var i = j; i < shape.chunk; i += 4u) {
      let pair = unit * 5u * pair_plane + i * pair_quads + j / 4u;
      let o = output_rows(rows + i * width);
      let r = pair + RECEPTANCE_KEY * pair_plane;
      sum0 += o * transpose(pair_rows(r));
      sum1 += o * transpose(pair_rows(r + 1u));
      sum2 += o * transpose(pair_rows(r + 2u));
      sum3 += o * transpose(pair_rows(r + 3u));
      let y = solved_rows(rows + i * width);
      let a = pair + A_KEY * pair_plane;
      sum0 += y * transpose(pair_rows(a));
      sum1 += y * transpose(pair_rows(a + 1u));
      sum2 += y * transpose(pair_rows(a + 2u));
      sum3 += y * transpose(pair_rows(a + 3u));
    }
    for (var d = 0u; d < shape.key_quads; d++) {
      let g = state_rows(state + 4u * d * width);
      let k = key_out + j * shape.key_quads + d;
      sum0 += g * panel_rows(k);
      sum1 += g * panel_rows(k + 4u * shape.key_quads);
      sum2 += g * panel_rows(k + 8u * shape.key_quads);
      sum3 += g * panel_rows(k + 12u * shape.key_quads);
    }
    store_values(rows + j * width, sum0);
    store_values(rows + (j + 4u) * width, sum1);
    store_values(rows + (j + 8u) * width, sum2);
    store_values(rows + (j + 12u) * width, sum3);
  }
}
