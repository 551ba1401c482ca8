/** Step-by-step definitions in float64; arrays are row-major. */

/** Loss, log-sum-exp and hit of each row; zeros where the label is not below the vocabulary. */
export function crossEntropyReference(
  logits: ArrayLike<number>,
  labels: ArrayLike<number>,
): { loss: Float64Array; logSumExp: Float64Array; correct: Uint32Array } {
  const vocabulary = logits.length / labels.length;
  const loss = new Float64Array(labels.length);
  const logSumExp = new Float64Array(labels.length);
  const correct = new Uint32Array(labels.length);
  for (let row = 0; row < labels.length; row++) {
    const label = labels[row];
    if (label >= vocabulary) continue;
    let best = 0;
    for (let c = 1; c < vocabulary; c++) {
      if (logits[row * vocabulary + c] > logits[row * vocabulary + best]) best = c;
    }
    const maximum = logits[row * vocabulary + best];
    let sum = 0;
    for (let c = 0; c < vocabulary; c++) sum += Math.exp(logits[row * vocabulary + c] - maximum);
    logSumExp[row] = maximum + Math.log(sum);
    loss[row] = logSumExp[row] - logits[row * vocabulary + label];
    correct[row] = best === label ? 1 : 0;
  }
  return { loss, logSumExp, correct };
}

/** The gradient of `Σ rowGradients · loss` with respect to the logits. */
export function crossEntropyBackwardReference(
  logits: ArrayLike<number>,
  labels: ArrayLike<number>,
  rowGradients: ArrayLike<number>,
): Float64Array {
  const vocabulary = logits.length / labels.length;
  const gradient = new Float64Array(logits.length);
  for (let row = 0; row < labels.length; row++) {
    if (labels[row] >= vocabulary) continue;
    let sum = 0;
    let maximum = -Infinity;
    for (let c = 0; c < vocabulary; c++) {
      maximum = Math.max(maximum, logits[row * vocabulary + c]);
    }
    for (let c = 0; c < vocabulary; c++) sum += Math.exp(logits[row * vocabulary + c] - maximum);
    for (let c = 0; c < vocabulary; c++) {
      const probability = Math.exp(logits[row * vocabulary + c] - maximum) / sum;
      gradient[row * vocabulary + c] = rowGradients[row] *
        (probability - (c === labels[row] ? 1 : 0));
    }
  }
  return gradient;
}
