// Elements as a file stores them: 32-bit floats; or two per word, 16-bit floats (STORED_F16) or the upper
// halves of 32-bit ones (STORED_BF16).

@group(0) @binding(1) var<storage, read> stored: array<vec4u>; // words

// Eight elements, from 8 * index on.
@if(STORED_F16 || STORED_BF16)
fn stored_eight(index: u32) -> mat2x4f {
  let words = stored[index];
  @if(STORED_BF16) {
    let even = bitcast<vec4f>(words << vec4u(16u));
    let odd = bitcast<vec4f>(words & vec4u(0xffff0000u));
    return mat2x4f(even.x, odd.x, even.y, odd.y, even.z, odd.z, even.w, odd.w);
  }
  @if(STORED_F16) {
    let even = floats_of(words & vec4u(0xffffu));
    let odd = floats_of(words >> vec4u(16u));
    return mat2x4f(even.x, odd.x, even.y, odd.y, even.z, odd.z, even.w, odd.w);
  }
}
@else
fn stored_eight(index: u32) -> mat2x4f {
  return mat2x4f(bitcast<vec4f>(stored[2u * index]), bitcast<vec4f>(stored[2u * index + 1u]));
}

fn stored_at(index: u32) -> f32 {
  return stored_eight(index / 8u)[index / 4u % 2u][index % 4u];
}

// 16-bit floats. By their bits, as unpack2x16float() may lose the least ones.
@if(STORED_F16)
fn floats_of(halves: vec4u) -> vec4f {
  let signs = (halves >> vec4u(15u)) << vec4u(31u);
  let magnitudes = halves & vec4u(0x7fffu);
  // Infinity and NaN have the largest exponent there too.
  let exponents = select(vec4u(112u), vec4u(224u), magnitudes >= vec4u(0x7c00u)) << vec4u(23u);
  let normal = (magnitudes << vec4u(13u)) + exponents;
  let subnormal = bitcast<vec4u>(vec4f(magnitudes) * 0x1p-24f);
  return bitcast<vec4f>(signs | select(normal, subnormal, magnitudes < vec4u(0x400u)));
}
