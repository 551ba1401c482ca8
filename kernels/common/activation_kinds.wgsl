// The kinds of activation: value and derivative, four elements at a time. No builtin is used whose error
// WGSL bounds only absolutely, nor one that may make a number of a NaN: it is the value of a NaN, and its
// derivative but for relu's.

import package::common::exponential::exponential_quad;
import package::common::hyperbolic_tangent::hyperbolic_tangent_quad;

override KIND: u32 = 0u; // in the order of ACTIVATION_KINDS

const LARGEST_EXPONENT = 88.7; // exp of it is the last that f32 holds
const GELU_SLOPE = 0.7978845608028654; // sqrt(2 / pi)
const GELU_CUBIC = 0.044715;
const INVERSE_SQRT_2 = 0.7071067811865476;
const INVERSE_SQRT_2_PI = 0.3989422804014327;

fn relu4(x: vec4f) -> vec4f {
  return select(x, vec4f(0.0), x < vec4f(0.0));
}

fn sigmoid4(x: vec4f) -> vec4f {
  let e = exponential_quad(-abs(x));
  return select(e, vec4f(1.0), x >= vec4f(0.0)) / (1.0 + e);
}

// log(1 + exponential_quad(-|x|)) as 2 atanh(s) with s = e / (2 + e) <= 1/3: keeps its digits where e is tiny.
fn log1p_exp4(x: vec4f) -> vec4f {
  let e = exponential_quad(-abs(x));
  let s = e / (2.0 + e);
  let z = s * s;
  return 2.0 * s * (1.0 + z * (1.0 / 3.0 + z * (1.0 / 5.0 + z * (1.0 / 7.0 + z * (1.0 / 9.0 +
    z * (1.0 / 11.0 + z * (1.0 / 13.0 + z / 15.0)))))));
}

// The normal distribution's cumulative function: erfc by the Chebyshev fit of Numerical Recipes
// (section 6.2, fractional error below 1.2e-7), so that the lower tail keeps its digits.
fn normal_cdf4(x: vec4f) -> vec4f {
  let z = abs(x) * INVERSE_SQRT_2;
  let t = 1.0 / (1.0 + 0.5 * z);
  let tail = 0.5 * t * exponential_quad(-z * z - 1.26551223 + t * (1.00002368 + t * (0.37409196 +
    t * (0.09678418 + t * (-0.18628806 + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 +
    t * (-0.82215223 + t * 0.17087277)))))))));
  return select(tail, 1.0 - tail, x >= vec4f(0.0));
}

fn activate(x: vec4f) -> vec4f {
  return activate_as(KIND, x);
}

fn activate_as(kind: u32, x: vec4f) -> vec4f {
  switch (kind) {
    case 0u: { // silu
      return x * sigmoid4(x);
    }
    case 1u: { // gelu: (1 + tanh(u)) / 2 = sigmoid(2 u)
      return x * sigmoid4(2.0 * GELU_SLOPE * x * (1.0 + GELU_CUBIC * x * x));
    }
    case 2u: { // gelu_exact
      return x * normal_cdf4(x);
    }
    case 3u: { // sigmoid
      return sigmoid4(x);
    }
    case 4u: { // tanh
      return hyperbolic_tangent_quad(x);
    }
    case 5u: { // softplus
      return max(x, vec4f(0.0)) + log1p_exp4(x);
    }
    case 6u: { // log_sigmoid
      return min(x, vec4f(0.0)) - log1p_exp4(x);
    }
    case 7u: { // exp
      return exponential_quad(select(x, vec4f(LARGEST_EXPONENT), x > vec4f(LARGEST_EXPONENT)));
    }
    case 8u: { // relu_squared
      let positive = relu4(x);
      return positive * positive;
    }
    case 9u: { // elu_plus_one
      return select(exponential_quad(x), x + 1.0, x > vec4f(0.0));
    }
    default: { // relu
      return relu4(x);
    }
  }
}

fn activation_slope(x: vec4f) -> vec4f {
  switch (KIND) {
    case 0u: { // silu
      return sigmoid4(x) * (1.0 + x * sigmoid4(-x));
    }
    case 1u: { // gelu
      let u = 2.0 * GELU_SLOPE * x * (1.0 + GELU_CUBIC * x * x);
      let slope = 2.0 * GELU_SLOPE * (1.0 + 3.0 * GELU_CUBIC * x * x);
      return sigmoid4(u) * (1.0 + x * slope * sigmoid4(-u));
    }
    case 2u: { // gelu_exact
      return normal_cdf4(x) + x * exponential_quad(-0.5 * x * x) * INVERSE_SQRT_2_PI;
    }
    case 3u: { // sigmoid
      return sigmoid4(x) * sigmoid4(-x);
    }
    case 4u: { // tanh: 1 - tanh² = 4 sigmoid(2 x) sigmoid(-2 x)
      return 4.0 * sigmoid4(2.0 * x) * sigmoid4(-2.0 * x);
    }
    case 5u: { // softplus
      return sigmoid4(x);
    }
    case 6u: { // log_sigmoid
      return sigmoid4(-x);
    }
    case 7u: { // exp
      return exponential_quad(select(x, vec4f(LARGEST_EXPONENT), x > vec4f(LARGEST_EXPONENT)));
    }
    case 8u: { // relu_squared
      return 2.0 * relu4(x);
    }
    case 9u: { // elu_plus_one
      return exponential_quad(select(x, vec4f(0.0), x > vec4f(0.0)));
    }
    default: { // relu
      return select(vec4f(0.0), vec4f(1.0), x > vec4f(0.0));
    }
  }
}
