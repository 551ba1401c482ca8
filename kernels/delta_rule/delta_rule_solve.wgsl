// INVERSE = (1 + diag(β) KEY_KEY)⁻¹ by forward substitution; unit lower triangular:
//   row i = e_i - β_i Σ_{l < i} KEY_KEY[i, l] row l.
// Without β, for RWKV-7, INVERSE = (1 - A_B)⁻¹: A_B lies where KEY_KEY does, and 1 stands for -β_i.
// Dispatch: ceil(chunks * heads * chunk / 4 / WORKGROUP_SIZE); one invocation a quad of columns.

override WORKGROUP_SIZE: u32 = 64u;
override PAIRS: u32 = 3u;
override HAS_BETA: bool = true;

const KEY_KEY = 1u;
const INVERSE = 2u;

struct Shape {
  units: u32, // chunks * heads
  chunk: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> beta: array<f32>; // [units, chunk]
@group(0) @binding(2) var<storage, read_write> pairs: array<vec4f>; // [units, PAIRS, chunk, chunk / 4]

@compute @workgroup_size(WORKGROUP_SIZE)
fn delta_rule_solve(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local.x;
  let quads = shape.chunk / 4u;
  let unit = index / quads;
  if (unit >= shape.units) {
    return;
  }
  let quad = index % quads;
  let columns = 4u * quad + vec4u(0u, 1u, 2u, 3u);
  let plane = shape.chunk * quads;
  let factors = (unit * PAIRS + KEY_KEY) * plane;
  let inverse = (unit * PAIRS + INVERSE) * plane + quad;
  for (var row = 0u; row < shape.chunk; row++) {
    pairs[inverse + row * quads] = select(vec4f(), vec4f(1.0), columns == vec4u(row));
  }
  for (var row = 4u * quad + 1u; row < shape.chunk; row++) {
    var sum = vec4f();
    // Rows from `row` on are still those of the identity, and KEY_KEY is 0 there.
    for (var l = quad; 4u * l < row; l++) {
      let at = inverse + 4u * l * quads;
      sum += mat4x4f(
        pairs[at], pairs[at + quads], pairs[at + 2u * quads], pairs[at + 3u * quads],
      ) * pairs[factors + row * quads + l];
    }
    if (HAS_BETA) {
      sum *= -beta[unit * shape.chunk + row];
    }
    pairs[inverse + row * quads] += sum;
  }
}
