/** Definitions in float64, element by element. */

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const normalDensity = (x: number): number => Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);

/** Φ(x) by the power series about 0 (Abramowitz & Stegun 26.2.11); past ±6 by the tail's fraction. */
function normalCdf(x: number): number {
  if (Math.abs(x) > 6) {
    let fraction = 0;
    for (let k = 60; k > 0; k--) fraction = k / (Math.abs(x) + fraction);
    const tail = normalDensity(x) / (Math.abs(x) + fraction);
    return x < 0 ? tail : 1 - tail;
  }
  let term = x;
  let sum = x;
  for (let k = 3; k < 200; k += 2) sum += term *= x * x / k;
  return 0.5 + normalDensity(x) * sum;
}

const geluArgument = (x: number): number => Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);

/** The activations by name. */
export const ACTIVATION_REFERENCE: Readonly<Record<string, (x: number) => number>> = {
  silu: (x) => x * sigmoid(x),
  gelu: (x) => x * sigmoid(2 * geluArgument(x)),
  gelu_exact: (x) => x * normalCdf(x),
  sigmoid,
  tanh: Math.tanh,
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  log_sigmoid: (x) => Math.min(x, 0) - Math.log1p(Math.exp(-Math.abs(x))),
  exp: (x) => Math.exp(Math.min(x, 88.7)),
  relu_squared: (x) => Math.max(x, 0) ** 2,
  elu_plus_one: (x) => x > 0 ? x + 1 : Math.exp(x),
  relu: (x) => Math.max(x, 0),
};

/** Their derivatives. */
export const ACTIVATION_SLOPE_REFERENCE: Readonly<Record<string, (x: number) => number>> = {
  silu: (x) => sigmoid(x) + x * sigmoid(x) * sigmoid(-x),
  gelu: (x) => {
    const u = 2 * geluArgument(x);
    const slope = 2 * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
    return sigmoid(u) + x * sigmoid(u) * sigmoid(-u) * slope;
  },
  gelu_exact: (x) => normalCdf(x) + x * normalDensity(x),
  sigmoid: (x) => sigmoid(x) * sigmoid(-x),
  tanh: (x) => 1 / Math.cosh(x) ** 2,
  softplus: sigmoid,
  log_sigmoid: (x) => sigmoid(-x),
  exp: (x) => Math.exp(Math.min(x, 88.7)),
  relu_squared: (x) => 2 * Math.max(x, 0),
  elu_plus_one: (x) => x > 0 ? 1 : Math.exp(x),
  relu: (x) => x > 0 ? 1 : 0,
};

/** `−exp(rate) · softplus(x + bias)` of `[..., channels]`, and its gradients for a gradient of the output. */
export function softplusDecayReference(
  x: ArrayLike<number>,
  bias: ArrayLike<number>,
  rate: ArrayLike<number>,
  outputGradient: ArrayLike<number>,
): Record<"output" | "xGradient" | "biasGradient" | "rateGradient", Float64Array> {
  const output = new Float64Array(x.length);
  const xGradient = new Float64Array(x.length);
  const biasGradient = new Float64Array(bias.length);
  const rateGradient = new Float64Array(rate.length);
  for (let i = 0; i < x.length; i++) {
    const channel = i % bias.length;
    const run = Math.floor(channel * rate.length / bias.length);
    const z = x[i] + bias[channel];
    output[i] = -Math.exp(rate[run]) * Math.log1p(Math.exp(z));
    xGradient[i] = -Math.exp(rate[run]) / (1 + Math.exp(-z)) * outputGradient[i];
    biasGradient[channel] += xGradient[i];
    rateGradient[run] += output[i] * outputGradient[i];
  }
  return { output, xGradient, biasGradient, rateGradient };
}
