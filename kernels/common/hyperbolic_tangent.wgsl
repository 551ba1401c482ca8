// tanh(x) to the last digits of an f32, near 0 too. WGSL bounds its own only absolutely, and what is
// multiplied by a large number afterwards, as a soft cap, needs more.

import package::common::exponential::exponential;

// Near 0 the polynomial of Cephes' tanhf; elsewhere 1 - 2 / (exponential(2 |x|) + 1). A NaN stays one.
fn hyperbolic_tangent(x: f32) -> f32 {
  let z = x * x;
  let near = x + x * z * ((((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z +
    1.33314422036e-1) * z - 3.33332819422e-1);
  let far = sign(x) * (1.0 - 2.0 / (exponential(2.0 * min(abs(x), 10.0)) + 1.0));
  return select(near, far, abs(x) >= 0.625);
}

fn hyperbolic_tangent_quad(x: vec4f) -> vec4f {
  return vec4f(
    hyperbolic_tangent(x.x), hyperbolic_tangent(x.y), hyperbolic_tangent(x.z), hyperbolic_tangent(x.w),
  );
}
