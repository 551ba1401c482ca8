/** Step-by-step definitions in float64. */

/** One step of AdamW; the three arrays are overwritten. */
export function adamWReference(
  state: { parameter: Float64Array; firstMoment: Float64Array; secondMoment: Float64Array },
  gradient: ArrayLike<number>,
  options: {
    learningRate: number;
    beta1: number;
    beta2: number;
    epsilon: number;
    weightDecay: ArrayLike<number>;
    step: number;
  },
): void {
  const { learningRate, beta1, beta2, epsilon, weightDecay, step } = options;
  const { parameter: p, firstMoment: m, secondMoment: v } = state;
  for (let i = 0; i < p.length; i++) {
    p[i] -= learningRate * weightDecay[i] * p[i];
    m[i] = beta1 * m[i] + (1 - beta1) * gradient[i];
    v[i] = beta2 * v[i] + (1 - beta2) * gradient[i] ** 2;
    const first = m[i] / (1 - beta1 ** step);
    const second = v[i] / (1 - beta2 ** step);
    p[i] -= learningRate * first / (Math.sqrt(second) + epsilon);
  }
}

/** The root of the sum of the squares of all arrays' elements. */
export function gradientNormReference(gradients: readonly ArrayLike<number>[]): number {
  let sum = 0;
  for (const gradient of gradients) {
    for (let i = 0; i < gradient.length; i++) sum += gradient[i] ** 2;
  }
  return Math.sqrt(sum);
}
