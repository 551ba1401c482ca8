// 32-bit floats as 16-bit ones, to the nearest, as WGSL leaves the direction to the adapter.

fn half_of(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  let sign = (bits >> 31u) << 15u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return sign | 0x7e00u; // NaN
  }
  if (magnitude < 0x38800000u) { // below 2^-14: multiples of 2^-24
    return sign | u32(round(bitcast<f32>(magnitude) * 0x1p24f));
  }
  let rounded = magnitude + 0xfffu + ((magnitude >> 13u) & 1u);
  return sign | min((rounded - 0x38000000u) >> 13u, 0x7c00u);
}

// Whether a number is finite and no 16-bit float is.
fn is_past_halves(value: f32) -> bool {
  let magnitude = bitcast<u32>(value) & 0x7fffffffu;
  return magnitude >= 0x477ff000u && magnitude < 0x7f800000u; // 65520 rounds to infinity
}
