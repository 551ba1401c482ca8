/** The place of the first of the largest logits of each row; NaN is never the largest. */
export function argmaxReference(logits: ArrayLike<number>, vocabulary: number): Uint32Array {
  const tokens = new Uint32Array(logits.length / vocabulary);
  for (let row = 0; row < tokens.length; row++) {
    let best = -1;
    for (let c = 0; c < vocabulary; c++) {
      const value = logits[row * vocabulary + c];
      if (!Number.isNaN(value) && (best < 0 || value > logits[row * vocabulary + best])) best = c;
    }
    tokens[row] = Math.max(best, 0);
  }
  return tokens;
}
