/** Step-by-step definitions in float64; arrays are row-major. */

/** Extents, and how the rows are cut into sequences. */
export interface DeltaRuleShape {
  /** `[batch, time, keyHeads, keyDim]`. */
  readonly key: readonly number[];
  /** `[batch, time, heads, valueDim]`. */
  readonly value: readonly number[];
  /** Bounds of the sequences packed in a batch of 1. */
  readonly segments?: readonly number[];
}

/** The arrays that {@linkcode deltaRuleReference} takes, shaped as `deltaRule` says. */
export interface DeltaRuleArrays {
  readonly query: ArrayLike<number>;
  readonly key: ArrayLike<number>;
  readonly value: ArrayLike<number>;
  readonly beta: ArrayLike<number>;
  /** One per head, or one per head and key channel, told apart by length. */
  readonly logDecay?: ArrayLike<number>;
  readonly initialState?: ArrayLike<number>;
}

/** `S̃ = exp(g_t) * S_{t-1}`, `S_t = S̃ + β_t k_t (v_t − k_tᵀ S̃)ᵀ`, `o_t = scale · q_tᵀ S_t`. */
export function deltaRuleReference(
  arrays: DeltaRuleArrays,
  shape: DeltaRuleShape,
  scale: number,
): { output: Float64Array; finalState: Float64Array } {
  const { heads, keyDim, valueDim, sequences, at, decay } = index(shape, arrays);
  const { query, key, value, beta, initialState } = arrays;
  const output = new Float64Array(value.length);
  const finalState = new Float64Array(sequences.length * heads * keyDim * valueDim);
  if (initialState) finalState.set(initialState);
  sequences.forEach(([begin, end], sequence) => {
    for (let head = 0; head < heads; head++) {
      const start = (sequence * heads + head) * keyDim * valueDim;
      const state = finalState.subarray(start, start + keyDim * valueDim);
      for (let row = begin; row < end; row++) {
        const { k, v, b } = at(row, head);
        for (let d = 0; d < keyDim; d++) {
          for (let c = 0; c < valueDim; c++) state[d * valueDim + c] *= decay(row, head, d);
        }
        for (let c = 0; c < valueDim; c++) {
          let predicted = 0;
          for (let d = 0; d < keyDim; d++) predicted += key[k + d] * state[d * valueDim + c];
          const update = beta[b] * (value[v + c] - predicted);
          for (let d = 0; d < keyDim; d++) {
            state[d * valueDim + c] += key[k + d] * update;
            output[v + c] += scale * query[k + d] * state[d * valueDim + c];
          }
        }
      }
    }
  });
  return { output, finalState };
}

/** The gradients of {@linkcode deltaRuleReference}: its steps undone one by one, from the last. */
export function deltaRuleBackwardReference(
  arrays: DeltaRuleArrays & {
    readonly outputGradient: ArrayLike<number>;
    readonly finalStateGradient?: ArrayLike<number>;
  },
  shape: DeltaRuleShape,
  scale: number,
): {
  queryGradient: Float64Array;
  keyGradient: Float64Array;
  valueGradient: Float64Array;
  betaGradient: Float64Array;
  logDecayGradient: Float64Array;
  initialStateGradient: Float64Array;
} {
  const { heads, keyDim, valueDim, sequences, at, decay, decayIndex } = index(shape, arrays);
  const { query, key, value, beta, logDecay, initialState, outputGradient } = arrays;
  const queryGradient = new Float64Array(query.length);
  const keyGradient = new Float64Array(key.length);
  const valueGradient = new Float64Array(value.length);
  const betaGradient = new Float64Array(beta.length);
  const logDecayGradient = new Float64Array(logDecay?.length ?? 0);
  const size = keyDim * valueDim;
  const initialStateGradient = new Float64Array(sequences.length * heads * size);
  if (arrays.finalStateGradient) initialStateGradient.set(arrays.finalStateGradient);
  sequences.forEach(([begin, end], sequence) => {
    for (let head = 0; head < heads; head++) {
      const start = (sequence * heads + head) * size;
      const states = [new Float64Array(size)]; // before each row
      for (let i = 0; i < size; i++) states[0][i] = initialState?.[start + i] ?? 0;
      const updates: Float64Array[] = [];
      for (let row = begin; row < end; row++) {
        const { k, v, b } = at(row, head);
        const state = states[row - begin].map((s, i) =>
          s * decay(row, head, Math.floor(i / valueDim))
        );
        const update = new Float64Array(valueDim);
        for (let c = 0; c < valueDim; c++) {
          let predicted = 0;
          for (let d = 0; d < keyDim; d++) predicted += key[k + d] * state[d * valueDim + c];
          update[c] = beta[b] * (value[v + c] - predicted);
          for (let d = 0; d < keyDim; d++) state[d * valueDim + c] += key[k + d] * update[c];
        }
        states.push(state);
        updates.push(update);
      }
      const gradient = initialStateGradient.subarray(start, start + size);
      for (let row = end - 1; row >= begin; row--) {
        const { k, v, b } = at(row, head);
        const before = states[row - begin];
        const after = states[row - begin + 1];
        const update = updates[row - begin];
        for (let c = 0; c < valueDim; c++) {
          const dOutput = outputGradient[v + c];
          let dUpdate = 0;
          for (let d = 0; d < keyDim; d++) {
            const i = d * valueDim + c;
            queryGradient[k + d] += scale * dOutput * after[i];
            gradient[i] += scale * dOutput * query[k + d];
            keyGradient[k + d] += gradient[i] * update[c];
            dUpdate += gradient[i] * key[k + d];
          }
          let predicted = 0;
          for (let d = 0; d < keyDim; d++) {
            predicted += key[k + d] * decay(row, head, d) * before[d * valueDim + c];
          }
          betaGradient[b] += dUpdate * (value[v + c] - predicted);
          valueGradient[v + c] += dUpdate * beta[b];
          for (let d = 0; d < keyDim; d++) {
            const i = d * valueDim + c;
            const decayed = decay(row, head, d) * before[i];
            keyGradient[k + d] -= dUpdate * beta[b] * decayed;
            gradient[i] -= dUpdate * beta[b] * key[k + d];
            if (logDecay) logDecayGradient[decayIndex(row, head, d)] += gradient[i] * decayed;
            gradient[i] *= decay(row, head, d);
          }
        }
      }
    }
  });
  return {
    queryGradient,
    keyGradient,
    valueGradient,
    betaGradient,
    logDecayGradient,
    initialStateGradient,
  };
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
  arrays: Rwkv7Arrays,
  shape: DeltaRuleShape,
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
  arrays: Rwkv7Arrays & {
    readonly outputGradient: ArrayLike<number>;
    readonly finalStateGradient?: ArrayLike<number>;
  },
  shape: DeltaRuleShape,
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
  shape: DeltaRuleShape,
): { heads: number; keyDim: number; valueDim: number; sequences: [begin: number, end: number][] } {
  const [batch, time, heads, valueDim] = shape.value;
  const bounds = shape.segments ?? Array.from({ length: batch + 1 }, (_, i) => i * time);
  return {
    heads,
    keyDim: shape.key[3],
    valueDim,
    sequences: bounds.slice(1).map((end, i) => [bounds[i], end]),
  };
}

function index(shape: DeltaRuleShape, { beta, logDecay }: DeltaRuleArrays): {
  heads: number;
  keyDim: number;
  valueDim: number;
  sequences: [begin: number, end: number][];
  at(row: number, head: number): { k: number; v: number; b: number };
  decay(row: number, head: number, channel: number): number;
  decayIndex(row: number, head: number, channel: number): number;
} {
  const { heads, keyDim, valueDim, sequences } = extents(shape);
  const keyHeads = shape.key[2];
  const perChannel = logDecay !== undefined && logDecay.length === beta.length * keyDim;
  const decayIndex = (row: number, head: number, channel: number): number =>
    perChannel ? (row * heads + head) * keyDim + channel : row * heads + head;
  return {
    heads,
    keyDim,
    valueDim,
    sequences,
    at: (row, head) => ({
      k: (row * keyHeads + Math.floor(head * keyHeads / heads)) * keyDim,
      v: (row * heads + head) * valueDim,
      b: row * heads + head,
    }),
    decay: (row, head, channel) =>
      logDecay ? Math.exp(logDecay[decayIndex(row, head, channel)]) : 1,
    decayIndex,
  };
}
