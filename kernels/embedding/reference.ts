/** Step-by-step definitions in float64; arrays are row-major. */

/** The row of `weight` that each token names; zeros for a token past the vocabulary. */
export function embeddingReference(
  tokens: ArrayLike<number>,
  weight: ArrayLike<number>,
  width: number,
): Float64Array {
  const output = new Float64Array(tokens.length * width);
  for (let i = 0; i < output.length; i++) {
    output[i] = weight[tokens[Math.floor(i / width)] * width + i % width] ?? 0;
  }
  return output;
}

/** The gradient of {@linkcode embeddingReference} with respect to `weight`. */
export function embeddingBackwardReference(
  tokens: ArrayLike<number>,
  outputGradient: ArrayLike<number>,
  vocabulary: number,
): Float64Array {
  const width = outputGradient.length / tokens.length;
  const weightGradient = new Float64Array(vocabulary * width);
  for (let i = 0; i < outputGradient.length; i++) {
    const token = tokens[Math.floor(i / width)];
    if (token < vocabulary) weightGradient[token * width + i % width] += outputGradient[i];
  }
  return weightGradient;
}
