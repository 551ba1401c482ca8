// Numbers that are none. WGSL lets a compiler take it that no float is NaN, and an implementation's exp,
// log, max or clamp may make anything of one: these look at the bits.

fn is_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn is_finite(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) < 0x7f800000u;
}

// A NaN, made of a number that is 0, infinite or NaN.
fn as_nan(x: f32) -> f32 {
  return bitcast<f32>(bitcast<u32>(x) | 0x7fc00000u);
}

// exp(x); NaN of a NaN.
fn exp_of(x: f32) -> f32 {
  return select(exp(x), x, is_nan(x));
}

// log(x) of a sum of exponentials; NaN of a NaN, and of 0, which is the sum where all exponents are minus
// infinity.
fn log_of(x: f32) -> f32 {
  if (x == 0.0 || is_nan(x)) {
    return as_nan(x);
  }
  return log(x);
}
