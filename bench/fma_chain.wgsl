// How fast multiplications and additions can be: twelve chains x = fma(x, FACTOR, ADDEND), each from
// a value of its own, so that no compiler can merge them. Nothing is read, one vec4 is written.
// Dispatch: one invocation a vec4 of `sums`.

override WORKGROUP_SIZE: u32 = 64u;
override FACTOR: f32 = 0.999;
override ADDEND: f32 = 0.5;

struct Shape {
  iterations: u32, // of sixteen steps of each chain
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read_write> sums: array<vec4f>; // [invocations]

@compute @workgroup_size(WORKGROUP_SIZE)
fn fma_chain(@builtin(global_invocation_id) id: vec3u) {
  let factor = vec4f(FACTOR);
  let addend = vec4f(ADDEND);
  var p = f32(id.x % 1024u) + vec4f(0.0, 1.0, 2.0, 3.0);
  var q = p + 4.0;
  var r = p + 8.0;
  for (var i = 0u; i < shape.iterations; i++) {
    p = fma(p, factor, addend);
    q = fma(q, factor, addend);
    r = fma(r, factor, addend);
    p = fma(p, factor, addend);
    q = fma(q, factor, addend);
    r = fma(r, factor, addend);
    p = fma(p, factor, addend);
    q = fma(q, factor, addend);
    r = fma(r, factor, addend);
    p = fma(p, factor, addend);
    q = fma(q, factor, addend);
    r = fma(r, factor, addend);
    p = fma(p, factor, addend);
    q = fma(q, factor, addend);
    r = fma(r, factor, addend);
    p = fma(p, factor, addend);
    q = fma(q, factor, addend);
    r = fma(r, factor, addend);
    p = fma(p, factor, addend);
    q = fma(q, factor, addend);
    r = fma(r, factor, addend);
    p = fma(p, factor, addend);
    q = fma(q, factor, addend);
    r = fma(r, factor, addend);
    p = fma(p, factor, addend);
    q = fma(q, factor, addend);
    r = fma(r, factor, addend);
    p = fma(p, factor, addend);
    q = fma(q, factor, addend);
    r = fma(r, factor, addend);
    p = fma(p, factor, addend);
    q = fma(q, factor, addend);
    r = fma(r, factor, addend);
    p = fma(p, factor, addend);
    q = fma(q, factor, addend);
    r = fma(r, factor, addend);
    p = fma(p, factor, addend);
    q = fma(q, factor, addend);
    r = fma(r, factor, addend);
    p = fma(p, factor, addend);
    q = fma(q, factor, addend);
    r = fma(r, factor, addend);
    p = fma(p, factor, addend);
    q = fma(q, factor, addend);
    r = fma(r, factor, addend);
    p = fma(p, factor, addend);
    q = fma(q, factor, addend);
    r = fma(r, factor, addend);
  }
  sums[id.x] = p + q + r;
}
