// exp(x) to the last digits of an f32, 0 below the least normal one. WGSL's own is 1e-6 off at -60 on a
// software adapter, and an error in a decay is made anew with each token.
fn exponential(x: vec4f) -> vec4f {
  let twos = round(clamp(x, vec4f(-150.0), vec4f(150.0)) * 1.4426950408889634);
  // ln 2 in two parts, the first of so few digits that its product is exact.
  let rest = (x - twos * 0.693145751953125) - twos * 1.42860682030941723e-6;
  var series = fma(rest, vec4f(1.0 / 5040.0), vec4f(1.0 / 720.0));
  series = fma(rest, series, vec4f(1.0 / 120.0));
  series = fma(rest, series, vec4f(1.0 / 24.0));
  series = fma(rest, series, vec4f(1.0 / 6.0));
  series = fma(rest, series, vec4f(0.5));
  series = fma(rest * rest, series, rest) + 1.0;
  // 2^twos as a product of two, as it may lie past what one f32 holds.
  let half = vec4i(twos) / 2;
  let first = bitcast<vec4f>((half + 127) << vec4u(23u));
  let second = bitcast<vec4f>((vec4i(twos) - half + 127) << vec4u(23u));
  let inside = series * first * second;
  let below = select(inside, vec4f(), x < vec4f(-87.3));
  return select(below, x * 3.4028234663852886e38, x > vec4f(89.0));
}
