/**
 * Attention and its gradients as a plain f32 program computes them, one rounding an operation: what
 * the kernels' errors are held against where logits are so large that f32 itself is the limit.
 */

/** Shapes of {@linkcode plainAttention}: one head, causal. */
export interface PlainShape {
  /** Sequences. */
  readonly batch: number;
  /** Queries, and keys. */
  readonly time: number;
  /** Elements of a query. */
  readonly dim: number;
  /** Elements of a value. */
  readonly valueDim: number;
}

/** The arrays of {@linkcode plainAttention}. */
export type PlainInputs = Record<"query" | "key" | "value" | "outputGradient", Float32Array>;

/** What {@linkcode plainAttention} returns. */
export type PlainOutputs = Record<
  "output" | "queryGradient" | "keyGradient" | "valueGradient",
  Float32Array
>;

const { fround } = Math;

function dot(a: Float32Array, atA: number, b: Float32Array, atB: number, length: number): number {
  let sum = 0;
  for (let d = 0; d < length; d++) sum = fround(sum + fround(a[atA + d] * b[atB + d]));
  return sum;
}

function addScaled(
  sum: Float32Array,
  at: number,
  factor: number,
  x: Float32Array,
  from: number,
  length: number,
): void {
  for (let d = 0; d < length; d++) sum[at + d] += fround(factor * x[from + d]);
}

/** `softmax(scale · query · keyᵀ) · value` and its gradients: every step rounded to f32. */
export function plainAttention(
  { query, key, value, outputGradient }: PlainInputs,
  { batch, time, dim, valueDim }: PlainShape,
): PlainOutputs {
  const scale = fround(1 / Math.sqrt(dim));
  const scaled = query.map((x) => x * scale);
  const output = new Float32Array(value.length);
  const queryGradient = new Float32Array(query.length);
  const keyGradient = new Float32Array(key.length);
  const valueGradient = new Float32Array(value.length);
  for (let row = 0; row < batch * time; row++) {
    const first = row - row % time;
    const seen = row - first + 1;
    const p = new Float32Array(seen);
    for (let k = 0; k < seen; k++) p[k] = dot(scaled, row * dim, key, (first + k) * dim, dim);
    const largest = p.reduce((most, z) => Math.max(most, z));
    let total = 0;
    for (let k = 0; k < seen; k++) {
      p[k] = Math.exp(fround(p[k] - largest));
      total = fround(total + p[k]);
    }
    const dp = new Float32Array(seen);
    let mean = 0;
    for (let k = 0; k < seen; k++) {
      const at = (first + k) * valueDim;
      p[k] = p[k] / total;
      addScaled(output, row * valueDim, p[k], value, at, valueDim);
      addScaled(valueGradient, at, p[k], outputGradient, row * valueDim, valueDim);
      dp[k] = dot(outputGradient, row * valueDim, value, at, valueDim);
      mean = fround(mean + fround(p[k] * dp[k]));
    }
    for (let k = 0; k < seen; k++) {
      const ds = fround(p[k] * fround(dp[k] - mean));
      addScaled(queryGradient, row * dim, fround(ds * scale), key, (first + k) * dim, dim);
      addScaled(keyGradient, (first + k) * dim, ds, scaled, row * dim, dim);
    }
  }
  return { output, queryGradient, keyGradient, valueGradient };
}
