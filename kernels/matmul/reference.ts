/** Step-by-step definitions in float64; arrays are row-major. */

/** Extents of {@linkcode matmulReference}. */
export interface MatmulExtents {
  /** Matrices in `a`, and in the output. */
  readonly batches: number;
  /** M. */
  readonly rows: number;
  /** N. */
  readonly columns: number;
  /** K. */
  readonly reduction: number;
  /** Whether `a` is `[batches, K, M]`. */
  readonly transposeA?: boolean;
  /** Whether `b` is `[N, K]`. */
  readonly transposeB?: boolean;
  /** Whether `b` holds one matrix for all batches. */
  readonly sharedB?: boolean;
}

/** `c[m, n] = Σ_k a[m, k] b[k, n]` for each batch. */
export function matmulReference(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  extents: MatmulExtents,
): Float64Array {
  const { batches, rows, columns, reduction, transposeA, transposeB, sharedB } = extents;
  const c = new Float64Array(batches * rows * columns);
  for (let batch = 0; batch < batches; batch++) {
    const aStart = batch * rows * reduction;
    const bStart = sharedB ? 0 : batch * reduction * columns;
    for (let m = 0; m < rows; m++) {
      for (let n = 0; n < columns; n++) {
        let sum = 0;
        for (let k = 0; k < reduction; k++) {
          sum += a[aStart + (transposeA ? k * rows + m : m * reduction + k)] *
            b[bStart + (transposeB ? n * reduction + k : k * columns + n)];
        }
        c[(batch * rows + m) * columns + n] = sum;
      }
    }
  }
  return c;
}

/**
 * `output = activation(x' weightᵀ + bias) · factor + addend` of the rows of `x`, or of their RMS norm where
 * that has a weight.
 */
export function projectReference(
  { x, weight, bias, normWeight, addend }: {
    x: ArrayLike<number>;
    weight: ArrayLike<number>;
    bias?: ArrayLike<number>;
    normWeight?: ArrayLike<number>;
    addend?: ArrayLike<number>;
  },
  { rows, columns, reduction }: { rows: number; columns: number; reduction: number },
  { epsilon = 1e-5, factor = 1, activation = (value) => value }: {
    epsilon?: number;
    factor?: number;
    activation?: (value: number) => number;
  } = {},
): Float64Array {
  const output = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    let squares = 0;
    for (let k = 0; k < reduction; k++) squares += x[row * reduction + k] ** 2;
    const scale = 1 / Math.sqrt(squares / reduction + epsilon);
    for (let n = 0; n < columns; n++) {
      let sum = bias?.[n] ?? 0;
      for (let k = 0; k < reduction; k++) {
        const value = x[row * reduction + k] * (normWeight ? scale * normWeight[k] : 1);
        sum += value * weight[n * reduction + k];
      }
      output[row * columns + n] = activation(sum) * factor + (addend?.[row * columns + n] ?? 0);
    }
  }
  return output;
}
