// O = QUERY_IN S + QUERY_KEY W for each chunk, with S the state at its start and W its update; with
// HAS_VALUE, for RWKV-7, whose names are RECEPTANCE_IN and RECEPTANCE_B, also + RECEPTANCE_KEY V.
// Dispatch: x = chunks, y = heads, z = blocks of LANES value quads; one invocation a quad of columns.

override LANES: u32 = 32u;
override PANELS: u32 = 6u;
override PAIRS: u32 = 3u;
override HAS_VALUE: bool = false;

const QUERY_IN = 3u;
const QUERY_KEY = 0u;
const RECEPTANCE_KEY = 3u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec4u>; // [chunks]: first row, rows, state slot
@group(0) @binding(2) var<storage, read> panels: array<vec4f>; // [chunks, heads, PANELS, chunk, key_quads]
@group(0) @binding(3) var<storage, read> pairs: array<vec4f>; // [chunks, heads, PAIRS, chunk, chunk / 4]
@group(0) @binding(4) var<storage, read> value: array<vec4f>; // [chunks, heads, chunk, value_quads]
@group(0) @binding(5) var<storage, read> update: array<vec4f>; // [chunks, heads, chunk, value_quads]
@group(0) @binding(6) var<storage, read> states: array<vec4f>; // [slots, heads, 4 * key_quads, value_quads]
@group(0) @binding(7) var<storage, read_write> outputs: array<vec4f>; // [chunks, heads, chunk, value_quads]

fn state_rows(at: u32) -> mat4x4f {
  let next = shape.value_quads;
  return mat4x4f(states[at], states[at + next], states[at + 2u * next], states[at + 3u * next]);
}

fn value_rows(at: u32) -> mat4x4f {
  let next = shape.value_quads;
  return mat4x4f(value[at], value[at + next], value[at + 2u * next], value[at + 3u * next]);
}

fn update_rows(at: u32) -> mat4x4f {
  let next = shape.value_quads;
  return mat4x4f(update[at], update[at + next], update[at + 2u * next], update[at + 3u * next]);
}

fn store_outputs(at: u32, rows: mat4x4f) {
  let next = shape.value_quads;
  outputs[at] = rows[0];
  outputs[at + next] = rows[1];
  outputs[at + 2u * next] = rows[2];
  outputs[at + 3u * next] = rows[3];
}

@compute @workgroup_size(LANES)
fn delta_rule_outputs(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let column = workgroup.z * LANES + local.x;
  if (column >= shape.value_quads) {
    return;
  }
  let width = shape.value_quads;
  let pair_quads = shape.chunk / 4u;
  let unit = workgroup.x * shape.heads + workgroup.y;
  let slot = chunks[workgroup.x].z * shape.heads + workgroup.y;
  let rows = unit * shape.chunk * width + column;
  let state = slot * 4u * shape.key_quads * width + column;
  let query_in = (unit * PANELS + QUERY_IN) * shape.chunk * shape.key_quads;
  let query_key = (unit * PAIRS + QUERY_KEY) * shape.chunk * pair_quads;
  let receptance_key = (unit * PAIRS + RECEPTANCE_KEY) * shape.chunk * pair_quads;
  for (var i = 0u; i < shape.chunk; i += 16u) {
    var sum0 = mat4x4f();
    var sum1 = mat4x4f();
    var sum2 = mat4x4f();
    var sum3 = mat4x4f();
    for (var d = 0u; d < shape.key_quads; d++) {
      let s = state_rows(state + 4u * d * width);
      let q = query_in + i * shape.key_quads + d;
      sum0 += s * panel_rows(q);
      sum1 += s * panel_rows(q + 4u * shape.key_quads);
      sum2 += s * panel_rows(q + 8u * shape.key_quads);
      sum3 += s * panel_rows(q + 12u * shape.key_quads);
    }
    for (var j = 0u; 4u * j < i + 16u; j++) {
      if (HAS_VALUE) {
        let v = value_rows(rows + 4u * j * width);
        let k = receptance_key + i * pair_quads + j;
        sum0 += v * pair_rows(k);
        sum1 += v * pair_rows(k + 4u * pair_quads);
        sum2 += v * pair_rows(k + 8u * pair_quads);
        sum3 += v * pair_rows(k + 12u * pair_quads);
      }
      let w = update_rows(rows + 4u * j * width);
      let a = query_key + i * pair_quads + j;
      sum0 += w * pair_rows(a);
      sum1 += w * pair_rows(a + 4u * pair_quads);
      sum2 += w * pair_rows(a + 8u * pair_quads);
      sum3 += w * pair_rows(a + 12u * pair_quads);
    }
    store_outputs(rows + i * width, sum0);
    store_outputs(rows + (i + 4u) * width, sum1);
    store_outputs(rows + (i + 8u) * width, sum2);
    store_outputs(rows + (i + 12u) * width, sum3);
  }
}
