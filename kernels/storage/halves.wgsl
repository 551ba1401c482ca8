// 32-bit floats as 16-bit ones, to the nearest, as WGSL leaves the direction to the adapter.

fn halves_of(values: vec4f) -> vec4u {
  let bits = bitcast<vec4u>(values);
  let signs = (bits >> vec4u(31u)) << vec4u(15u);
  let magnitudes = bits & vec4u(0x7fffffffu);
  let ties = (magnitudes >> vec4u(13u)) & vec4u(1u);
  let rounded = (magnitudes + vec4u(0xfffu) + ties - vec4u(0x38000000u)) >> vec4u(13u);
  let normal = min(rounded, vec4u(0x7c00u));
  // Below 2^-14 they are multiples of 2^-24.
  let isSmall = magnitudes < vec4u(0x38800000u);
  let small = bitcast<vec4f>(select(vec4u(), magnitudes, isSmall));
  let finite = select(normal, vec4u(round(small * 0x1p24f)), isSmall);
  return signs | select(finite, vec4u(0x7e00u), magnitudes > vec4u(0x7f800000u));
}

// Which numbers are finite and no 16-bit float is: 65520 rounds to infinity.
fn are_past_halves(values: vec4f) -> vec4<bool> {
  let magnitudes = bitcast<vec4u>(values) & vec4u(0x7fffffffu);
  return (magnitudes >= vec4u(0x477ff000u)) & (magnitudes < vec4u(0x7f800000u));
}
