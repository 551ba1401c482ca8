// Elements as a file stores them: 32-bit floats; or two a word, 16-bit floats (STORED_F16) or the upper
// halves of 32-bit ones (STORED_BF16).

@group(0) @binding(1) var<storage, read> stored: array<u32>; // [⌈elements / elements in a word⌉]

@if(STORED_F16 || STORED_BF16)
fn stored_at(index: u32) -> f32 {
  let half = (stored[index / 2u] >> (index % 2u * 16u)) & 0xffffu;
  @if(STORED_BF16)
  return bitcast<f32>(half << 16u);
  @else
  return float_of(half);
}
@else
fn stored_at(index: u32) -> f32 {
  return bitcast<f32>(stored[index]);
}

// A 16-bit float. By its bits, as unpack2x16float() may lose the least ones.
@if(STORED_F16)
fn float_of(half: u32) -> f32 {
  let sign = (half >> 15u) << 31u;
  let magnitude = half & 0x7fffu;
  if (magnitude < 0x400u) { // a multiple of 2^-24
    return bitcast<f32>(sign | bitcast<u32>(f32(magnitude) * 0x1p-24f));
  }
  // Infinity and NaN have the largest exponent there too.
  let exponent = select(112u, 224u, magnitude >= 0x7c00u) << 23u;
  return bitcast<f32>(sign | ((magnitude << 13u) + exponent));
}
