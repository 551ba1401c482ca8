// 1 - exp(x), which keeps its digits near 0.

import package::common::exponential::exponential_quad;

// For x <= 0: by its series where the difference would cancel.
fn one_minus_exponential(x: vec4f) -> vec4f {
  let series = -x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0 *
    (1.0 + x / 6.0)))));
  return select(1.0 - exponential_quad(x), series, x > vec4f(-0.25));
}
