// Rotary position embedding: the pair (u, v) at position p turns by the angle p * frequency:
//   u' = u cos - v sin,  v' = u sin + v cos; by minus the angle where INVERSE.
// A frequency is a fraction of a turn in 64-bit fixed point, so that p * frequency modulo a turn is
// exact integer arithmetic at any position.
// Dispatch: one invocation a position and pair, or copied element, for all heads; folded past 65,535
// workgroups.

override INTERLEAVED: bool = false; // pairs are (2 i, 2 i + 1); else (i, i + pairs)
override INVERSE: bool = false;

struct Shape {
  batch: u32,
  time: u32,
  heads: u32,
  dim: u32,
  pairs: u32, // 2 * pairs <= dim; the rest is copied
  offset: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [batch, time, heads, dim]
@group(0) @binding(2) var<storage, read> frequencies: array<vec2u>; // [pairs]: high and low word
@if(HAS_POSITIONS)
@group(0) @binding(3) var<storage, read> positions: array<u32>; // [batch, time]; positions come from a tensor; else from the offset
@group(0) @binding(4) var<storage, read_write> output: array<f32>; // [batch, time, heads, dim]

// The upper 32 bits of a * b.
fn multiply_high(a: u32, b: u32) -> u32 {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u);
}

// Cosine and sine of phase / 2³² turns: the nearest quarter turn is taken off exactly, the rest, at
// most an eighth, goes through the polynomials of Cephes' cosf and sinf. WGSL's own cos and sin may
// be off by 2⁻¹¹.
fn turn(phase: u32) -> vec2f {
  let quarter = (phase + 0x20000000u) >> 30u;
  let angle = f32(bitcast<i32>(phase - (quarter << 30u))) * 1.4629180792671596e-9; // 2 pi / 2³²
  let z = angle * angle;
  let c = 1.0 - 0.5 * z + z * z * (4.166664568298827e-2 + z * (-1.388731625493765e-3 +
    z * 2.443315711809948e-5));
  let s = angle + angle * z * (-1.6666654611e-1 + z * (8.3321608736e-3 - z * 1.9515295891e-4));
  let swapped = select(vec2f(c, s), vec2f(-s, c), (quarter & 1u) == 1u);
  return select(swapped, -swapped, (quarter & 2u) == 2u);
}

@compute @workgroup_size(64)
fn rotary(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * 64u + local.x;
  let slots = shape.dim - shape.pairs;
  if (index >= shape.batch * shape.time * slots) {
    return;
  }
  let place = index / slots;
  let slot = index % slots;
  let start = place * shape.heads * shape.dim;
  if (slot >= shape.pairs) {
    for (var head = 0u; head < shape.heads; head++) {
      let i = start + head * shape.dim + shape.pairs + slot;
      output[i] = x[i];
    }
    return;
  }
  var position = shape.offset + place % shape.time;
  @if(HAS_POSITIONS)
  position = positions[place];
  let frequency = frequencies[slot];
  let cos_sin = turn(position * frequency.x + multiply_high(position, frequency.y));
  let c = cos_sin.x;
  let s = select(cos_sin.y, -cos_sin.y, INVERSE);
  let first = start + select(slot, 2u * slot, INTERLEAVED);
  let second = first + select(shape.pairs, 1u, INTERLEAVED);
  for (var head = 0u; head < shape.heads; head++) {
    let i = head * shape.dim;
    let u = x[first + i];
    let v = x[second + i];
    output[first + i] = u * c - v * s;
    output[second + i] = u * s + v * c;
  }
}
