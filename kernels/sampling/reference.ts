/** The index of the first of the largest logits of each row; 2³² − 1 for a row that holds a NaN. */
export function argmaxReference(logits: ArrayLike<number>, vocabulary: number): Uint32Array {
  const tokens = new Uint32Array(logits.length / vocabulary);
  for (let row = 0; row < tokens.length; row++) {
    let best = 0;
    let holdsNaN = false;
    for (let c = 0; c < vocabulary; c++) {
      const value = logits[row * vocabulary + c];
      if (Number.isNaN(value)) holdsNaN = true;
      if (value > logits[row * vocabulary + best]) best = c;
    }
    tokens[row] = holdsNaN ? 2 ** 32 - 1 : best;
  }
  return tokens;
}
