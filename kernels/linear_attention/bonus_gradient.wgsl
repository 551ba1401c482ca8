// The bonus of each token's own update: with B_ii = SCALE * output_gradient_i · value_i,
//   query_gradient_i += B_ii * bonus * key_i,  key_gradient_i += B_ii * bonus * query_i
//   partial = sum over the chunk's tokens of B_ii * query_i * key_i
// Dispatch: one invocation per chunk, head and 4 keys.

override WORKGROUP_SIZE: u32 = 64u;

@link
alias Element = f32; // or f16: how the caller's rows are stored; all arithmetic is in f32

struct Shape {
  chunks: u32,
  heads: u32,
  groups: u32,
  key_vectors: u32,
  blocks: u32, // in a chunk
  first_chunk: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec2u>; // [chunks]: first row, end
@group(0) @binding(2) var<storage, read> query: array<vec4<Element>>; // [rows, groups, key_vectors]
@group(0) @binding(3) var<storage, read> key: array<vec4<Element>>; // [rows, groups, key_vectors]
@group(0) @binding(4) var<storage, read> bonus: array<vec4f>; // [heads, key_vectors]
@group(0) @binding(5) var<storage, read> scores: array<vec4f>; // [2, chunks, heads, 8 * blocks, 2 * blocks]
@group(0) @binding(6) var<storage, read_write> query_gradient: array<vec4f>; // [rows, heads, key_vectors]
@group(0) @binding(7) var<storage, read_write> key_gradient: array<vec4f>; // [rows, heads, key_vectors]
@group(0) @binding(8) var<storage, read_write> partial: array<vec4f>; // [chunks of all slabs, heads, key_vectors]

@compute @workgroup_size(WORKGROUP_SIZE)
fn bonus_gradient(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local.x;
  let vector = index % shape.key_vectors;
  let head = index / shape.key_vectors % shape.heads;
  let chunk = index / (shape.key_vectors * shape.heads);
  if (chunk >= shape.chunks) {
    return;
  }
  let rows = chunks[chunk];
  let group = head / (shape.heads / shape.groups);
  let u = bonus[head * shape.key_vectors + vector];
  let line = (chunk * shape.heads + head) * shape.blocks * 8u;
  var sum = vec4f();
  for (var row = rows.x; row < rows.y; row++) {
    let i = row - rows.x;
    let b = scores[(line + i) * shape.blocks * 2u + i / 4u][i % 4u];
    let source = (row * shape.groups + group) * shape.key_vectors + vector;
    let slot = (row * shape.heads + head) * shape.key_vectors + vector;
    let q = vec4f(query[source]);
    let k = vec4f(key[source]);
    query_gradient[slot] += b * u * k;
    key_gradient[slot] += b * u * q;
    sum += b * q * k;
  }
  partial[shape.first_chunk * shape.heads * shape.key_vectors + index] = sum;
}
