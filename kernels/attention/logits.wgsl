// From the product of a query and a key to a probability. Sums are made in one way in all kernels, so
// that the backward ones meet the very logits of the forward one.

import package::attention::problem::shape;
import package::common::hyperbolic_tangent::hyperbolic_tangent;
import package::common::numbers::{exp_of, is_nan, log_of};

const BLOCK: u32 = 8u; // vec4s of a row whose products are summed before they join the others
const LOWEST: f32 = -3.4028234663852886e38; // what a largest logit begins with; WGSL has no infinity
const NOTHING_SEEN: f32 = -1e30; // the log-sum-exp of a query that sees no key

fn dot_add(a: vec4f, b: vec4f, sum: f32) -> f32 {
  return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

// c * tanh(score / c). A NaN stays one.
fn cap(score: f32) -> f32 {
  @if(CAPPED) {
    let capped = shape.soft_cap * hyperbolic_tangent(score / shape.soft_cap);
    return select(capped, score, is_nan(score));
  }
  @else
  return score;
}

// d cap(score) / d score, from the capped value.
fn cap_slope(capped: f32) -> f32 {
  @if(CAPPED) {
    let ratio = capped / shape.soft_cap;
    return 1.0 - ratio * ratio;
  }
  @else
  return 1.0;
}

// The logit of a query and a key that are `distance` positions apart.
fn logit_of(capped: f32, distance: i32, slope: f32) -> f32 {
  @if(HAS_ALIBI_SLOPES)
  return fma(-slope, f32(abs(distance)), capped);
  @else
  return capped;
}

// The log-sum-exp of a query that sees a key; NaN where the total is, or where it is 0 since every
// logit is minus infinity.
fn log_sum(largest: f32, total: f32) -> f32 {
  return largest + log_of(total);
}

// exp(logit - log_sum_exp), at most 1 whatever was rounded on the way. A NaN stays one.
fn probability(logit: f32, log_sum_exp: f32) -> f32 {
  let exponent = logit - log_sum_exp;
  return exp_of(select(exponent, 0.0, exponent > 0.0));
}
