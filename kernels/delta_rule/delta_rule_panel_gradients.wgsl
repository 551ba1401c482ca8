// Rows times a transposed state: PLANE[i, d] = Σ_v rows[i, v] states[d, v], the state at the chunk's
// start (AFTER = 0) or at its end (AFTER = 1). From dO and S the gradient into QUERY_IN, from dY and S
// that into KEY_IN over -β, from W and G that into KEY_OUT; in RWKV-7 RECEPTANCE_IN, A_IN (over 1) and
// B_OUT, and from V and G that into KEY_OUT.
// Dispatch: x = chunks, y = heads, z = blocks of LANES key quads; one invocation a quad of channels.

override LANES: u32 = 32u;
override PLANES: u32 = 3u;
override PLANE: u32 = 0u;
override AFTER: u32 = 0u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec4u>; // [chunks]: first row, rows, state slot
@group(0) @binding(2) var<storage, read> rows: array<vec4f>; // [chunks, heads, chunk, value_quads]
@group(0) @binding(3) var<storage, read> states: array<vec4f>; // [slots, heads, 4 * key_quads, value_quads]
@group(0) @binding(4) var<storage, read_write> panel_gradients: array<vec4f>; // [chunks, heads, PLANES, chunk, key_quads]

fn value_rows(at: u32) -> mat4x4f {
  let next = shape.value_quads;
  return mat4x4f(rows[at], rows[at + next], rows[at + 2u * next], rows[at + 3u * next]);
}

fn state_rows(at: u32) -> mat4x4f {
  let next = shape.value_quads;
  return mat4x4f(states[at], states[at + next], states[at + 2u * next], states[at + 3u * next]);
}

fn store_panel(at: u32, values: mat4x4f) {
  let next = shape.key_quads;
  panel_gradients[at] = values[0];
  panel_gradients[at + next] = values[1];
  panel_gradients[at + 2u * next] = values[2];
  panel_gradients[at + 3u * next] = values[3];
}

@compute @workgroup_size(LANES)
fn delta_rule_panel_gradients(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let quad = workgroup.z * LANES + local.x;
  if (quad >= shape.key_quads) {
    return;
  }
  let width = shape.value_quads;
  let unit = workgroup.x * shape.heads + workgroup.y;
  let slot = (chunks[workgroup.x].z + AFTER) * shape.heads + workgroup.y;
  let state = (slot * shape.key_quads + quad) * 4u * width;
  let out = (unit * PLANES + PLANE) * shape.chunk * shape.key_quads + quad;
  for (var i = 0u; i < shape.chunk; i += 16u) {
    let row = (unit * shape.chunk + i) * width;
    var sum0 = mat4x4f();
    var sum1 = mat4x4f();
    var sum2 = mat4x4f();
    var sum3 = mat4x4f();
    for (var v = 0u; v < width; v++) {
      let s = transpose(state_rows(state + v));
      sum0 += s * value_rows(row + v);
      sum1 += s * value_rows(row + 4u * width + v);
      sum2 += s * value_rows(row + 8u * width + v);
      sum3 += s * value_rows(row + 12u * width + v);
    }
    store_panel(out + i * shape.key_quads, sum0);
    store_panel(out + (i + 4u) * shape.key_quads, sum1);
    store_panel(out + (i + 8u) * shape.key_quads, sum2);
    store_panel(out + (i + 12u) * shape.key_quads, sum3);
  }
}
