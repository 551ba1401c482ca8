// What the backward kernels need of a query besides its rows: delta = sum over the head of dy * y, the
// log-sum-exp, and the bounds of its segment.
// Dispatch: x = ceil(batch * heads * query_time / LANES), folded; one invocation a query.

const VALUE: u32 = 16u; // vec4s of a value

alias Element = f32; // or f16: how rows are stored; all arithmetic is in f32

override LANES: u32 = 64u;

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> y: array<vec4<Element>>; // [batch, query_time, heads, VALUE]
@group(0) @binding(2) var<storage, read> y_gradient: array<vec4<Element>>; // [batch, query_time, heads, VALUE]
@group(0) @binding(3) var<storage, read> log_sum_exp: array<f32>; // [batch, heads, query_time]
@group(0) @binding(4) var<storage, read> segments: array<vec2i>; // [query_time]
@group(0) @binding(5) var<storage, read_write> terms: array<vec4u>; // [batch, heads, query_time]

@compute @workgroup_size(LANES)
fn flash_row_terms(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * LANES + local.x;
  let query_time = u32(shape.query_time);
  let batch = index / (query_time * shape.heads);
  let head = index / query_time % shape.heads;
  let time = index % query_time;
  if (batch >= shape.batch) {
    return;
  }
  let row = ((batch * query_time + time) * shape.heads + head) * VALUE;
  var delta = 0.0;
  for (var d = 0u; d < VALUE; d++) {
    delta += dot(vec4f(y[row + d]), vec4f(y_gradient[row + d]));
  }
  var segment = vec2i(0, shape.key_length);
  if (HAS_SEGMENTS) {
    segment = segments[time];
  }
  terms[index] = vec4u(
    bitcast<u32>(log_sum_exp[index]),
    bitcast<u32>(delta),
    u32(segment.x),
    u32(segment.y),
  );
}
