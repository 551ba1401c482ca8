/**
 * Coefficients, none of them negative, of the sum of terms that is nearest to the values by relative
 * error. There are few terms: each choice of them is tried.
 *
 * @param rows Of each measurement the terms: `[measurements, terms]`.
 * @param values What was measured, each above 0: `[measurements]`.
 * @returns `[terms]`.
 */
export function fitNonNegative(
  rows: readonly (readonly number[])[],
  values: readonly number[],
): number[] {
  const terms = rows[0].length;
  const largest = Array.from(
    { length: terms },
    (_, term) => Math.max(...rows.map((row) => Math.abs(row[term]))),
  );
  // Relative error: each measurement is divided by its value, and is then to be 1.
  const scaled = rows.map((row, i) => row.map((x, term) => x / (largest[term] || 1) / values[i]));
  let best = { error: Infinity, coefficients: new Array<number>(terms).fill(0) };
  for (let choice = 1; choice < 2 ** terms; choice++) {
    const chosen = [...Array(terms).keys()].filter((term) =>
      (choice & (1 << term)) !== 0 && largest[term] > 0
    );
    const solution = leastSquares(scaled.map((row) => chosen.map((term) => row[term])));
    if (solution === undefined || solution.some((value) => value < 0)) continue;
    const error = scaled.reduce((sum, row) => {
      const fitted = chosen.reduce((sum, term, i) => sum + row[term] * solution[i], 0);
      return sum + (fitted - 1) ** 2;
    }, 0);
    if (error < best.error - 1e-12) {
      const coefficients = new Array<number>(terms).fill(0);
      chosen.forEach((term, i) => coefficients[term] = solution[i] / largest[term]);
      best = { error, coefficients };
    }
  }
  return best.coefficients;
}

/** The solution of `rows · x ≈ 1`, where there is exactly one. */
function leastSquares(rows: readonly (readonly number[])[]): number[] | undefined {
  const count = rows[0].length;
  if (count === 0 || count > rows.length) return undefined;
  const sum = (term: (row: readonly number[]) => number): number =>
    rows.reduce((total, row) => total + term(row), 0);
  const system = Array.from({ length: count }, (_, i) => [
    ...Array.from({ length: count }, (_, j) => sum((row) => row[i] * row[j])),
    sum((row) => row[i]),
  ]);
  for (let i = 0; i < count; i++) {
    const pivot = system.findIndex((row, j) =>
      j >= i && system.slice(i).every((other) => Math.abs(other[i]) <= Math.abs(row[i]))
    );
    [system[i], system[pivot]] = [system[pivot], system[i]];
    if (Math.abs(system[i][i]) < 1e-10 * sum((row) => row[i] ** 2)) return undefined;
    for (let j = 0; j < count; j++) {
      if (j === i) continue;
      const factor = system[j][i] / system[i][i];
      system[j] = system[j].map((value, k) => value - factor * system[i][k]);
    }
  }
  return system.map((row, i) => row[count] / row[i]);
}
