// exp(x) to the last digit of an f32, and 0 below the least normal one. WGSL's own is 1e-7 to 1e-6 off
// on a software adapter, always to the same side, and a decay's error is made again with each token.
fn exponential(x: f32) -> f32 {
  let twos = clamp(round(x * 1.4426950408889634), -127.0, 127.0);
  // ln 2 in two parts, the first of so few digits that its product is exact. The select, which is taken
  // where the result is 0, keeps compilers from joining the two parts again.
  let near = select(fma(twos, -0.693145751953125, x), 0.0, x < -88.0);
  let rest = fma(twos, -1.42860682030941723e-6, near);
  // e^rest, |rest| ≤ ln 2 / 2, as Taylor's series with its end evened out.
  var series = fma(rest, 1.9875691500e-4, 1.3981999507e-3);
  series = fma(rest, series, 8.3334519073e-3);
  series = fma(rest, series, 4.1665795894e-2);
  series = fma(rest, series, 1.6666665459e-1);
  series = fma(rest, series, 0.5);
  series = fma(rest * rest, series, rest) + 1.0;
  // 2^twos by its exponent's bits, which are 0 for 2^-127. Past 88.7 the series itself overflows.
  return series * bitcast<f32>((i32(twos) + 127) << 23u);
}

fn exponential_quad(x: vec4f) -> vec4f {
  return vec4f(exponential(x.x), exponential(x.y), exponential(x.z), exponential(x.w));
}
