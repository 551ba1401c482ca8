// Cosine and sine of a position times a frequency, which is a fraction of a turn in 64-bit fixed point.

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

fn turn_at(position: u32, frequency: vec2u) -> vec2f {
  return turn(position * frequency.x + multiply_high(position, frequency.y));
}
