/** Step-by-step definitions in float64; arrays are row-major. */

/** Extents, and how the rows are cut into sequences. */
export interface Rwkv7Shape {
  /** `[batch, time, heads, keyDim]`. */
  readonly key: readonly number[];
  /** `[batch, time, heads, valueDim]`. */
  readonly value: readonly number[];
  /** Bounds of the sequences packed in a batch of 1. */
  readonly segments?: readonly number[];
}

/** The arrays that {@linkcode rwkv7Reference} takes, shaped as `rwkv7` says. */
export interface Rwkv7Arrays {
  readonly receptance: ArrayLike<number>;
  readonly logDecay: ArrayLike<number>;
  readonly key: ArrayLike<number>;
  readonly value: ArrayLike<number>;
  readonly a: ArrayLike<number>;
  readonly b: ArrayLike<number>;
  readonly initialState?: ArrayLike<number>;
}

/** `S_t = exp(w_t) * S_{t-1} + b_t (a_tᵀ S_{t-1}) + k_t v_tᵀ`, `o_t = scale · r_tᵀ S_t`. */
export function rwkv7Reference(
  shape: Rwkv7Shape,
  arrays: Rwkv7Arrays,
  scale = 1,
): { output: Float64Array; finalState: Float64Array } {
  const { receptance, logDecay, key, value, a, b, initialState } = arrays;
  const { heads, keyDim, valueDim, sequences } = extents(shape);
  const output = new Float64Array(value.length);
  const finalState = new Float64Array(sequences.length * heads * keyDim * valueDim);
  if (initialState) finalState.set(initialState);
  sequences.forEach(([begin, end], sequence) => {
    for (let head = 0; head < heads; head++) {
      const start = (sequence * heads + head) * keyDim * valueDim;
      for (let row = begin; row < end; row++) {
        const k = (row * heads + head) * keyDim;
        for (let c = 0; c < valueDim; c++) {
          const v = (row * heads + head) * valueDim + c;
          let seen = 0;
          for (let d = 0; d < keyDim; d++) seen += a[k + d] * finalState[start + d * valueDim + c];
          for (let d = 0; d < keyDim; d++) {
            const s = start + d * valueDim + c;
            finalState[s] = Math.exp(logDecay[k + d]) * finalState[s] + b[k + d] * seen +
              key[k + d] * value[v];
            output[v] += scale * receptance[k + d] * finalState[s];
          }
        }
      }
    }
  });
  return { output, finalState };
}

/** The gradients of {@linkcode rwkv7Reference}: its steps undone one by one, from the last. */
export function rwkv7BackwardReference(
  shape: Rwkv7Shape,
  arrays: Rwkv7Arrays & {
    readonly outputGradient: ArrayLike<number>;
    readonly finalStateGradient?: ArrayLike<number>;
  },
  scale = 1,
): {
  receptanceGradient: Float64Array;
  logDecayGradient: Float64Array;
  keyGradient: Float64Array;
  valueGradient: Float64Array;
  aGradient: Float64Array;
  bGradient: Float64Array;
  initialStateGradient: Float64Array;
} {
  const { receptance, logDecay, key, value, a, b, initialState, outputGradient } = arrays;
  const { heads, keyDim, valueDim, sequences } = extents(shape);
  const receptanceGradient = new Float64Array(key.length);
  const logDecayGradient = new Float64Array(key.length);
  const keyGradient = new Float64Array(key.length);
  const valueGradient = new Float64Array(value.length);
  const aGradient = new Float64Array(key.length);
  const bGradient = new Float64Array(key.length);
  const initialStateGradient = new Float64Array(sequences.length * heads * keyDim * valueDim);
  if (arrays.finalStateGradient) initialStateGradient.set(arrays.finalStateGradient);
  sequences.forEach(([begin, end], sequence) => {
    for (let head = 0; head < heads; head++) {
      for (let c = 0; c < valueDim; c++) {
        // Columns of the state know nothing of one another.
        const at = (d: number): number => ((sequence * heads + head) * keyDim + d) * valueDim + c;
        const states = [
          Float64Array.from({ length: keyDim }, (_, d) => initialState?.[at(d)] ?? 0),
        ];
        const seen: number[] = [];
        for (let row = begin; row < end; row++) {
          const k = (row * heads + head) * keyDim;
          const v = value[(row * heads + head) * valueDim + c];
          const before = states[row - begin];
          const read = before.reduce((sum, s, d) => sum + a[k + d] * s, 0);
          seen.push(read);
          states.push(
            before.map((s, d) => Math.exp(logDecay[k + d]) * s + b[k + d] * read + key[k + d] * v),
          );
        }
        const gradient = Float64Array.from(
          { length: keyDim },
          (_, d) => initialStateGradient[at(d)],
        );
        for (let row = end - 1; row >= begin; row--) {
          const k = (row * heads + head) * keyDim;
          const v = (row * heads + head) * valueDim + c;
          const before = states[row - begin];
          const after = states[row - begin + 1];
          let seenGradient = 0;
          for (let d = 0; d < keyDim; d++) {
            receptanceGradient[k + d] += scale * outputGradient[v] * after[d];
            gradient[d] += scale * outputGradient[v] * receptance[k + d];
            keyGradient[k + d] += gradient[d] * value[v];
            valueGradient[v] += gradient[d] * key[k + d];
            bGradient[k + d] += gradient[d] * seen[row - begin];
            seenGradient += gradient[d] * b[k + d];
          }
          for (let d = 0; d < keyDim; d++) {
            const decay = Math.exp(logDecay[k + d]);
            logDecayGradient[k + d] += gradient[d] * decay * before[d];
            aGradient[k + d] += seenGradient * before[d];
            gradient[d] = gradient[d] * decay + seenGradient * a[k + d];
          }
        }
        gradient.forEach((g, d) => initialStateGradient[at(d)] = g);
      }
    }
  });
  return {
    receptanceGradient,
    logDecayGradient,
    keyGradient,
    valueGradient,
    aGradient,
    bGradient,
    initialStateGradient,
  };
}

function extents(
  shape: Rwkv7Shape,
): { heads: number; keyDim: number; valueDim: number; sequences: [number, number][] } {
  const [batch, time, heads, valueDim] = shape.value;
  const bounds = shape.segments ?? Array.from({ length: batch + 1 }, (_, i) => i * time);
  return {
    heads,
    keyDim: shape.key[3],
    valueDim,
    sequences: bounds.slice(1).map((end, i) => [bounds[i], end]),
  };
}
