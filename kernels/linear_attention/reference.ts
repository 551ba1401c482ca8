/** Step-by-step definitions in float64; arrays are row-major. */

/** Extents of {@linkcode linearAttentionReference}. */
export interface LinearAttentionShape {
  readonly batch: number;
  readonly time: number;
  readonly heads: number;
  readonly groups: number;
  readonly keyDim: number;
  readonly valueDim: number;
  /** Where each packed sequence begins, and the end of the last; left out, each batch is one. */
  readonly segments?: readonly number[];
  /** 1/√keyDim by default. */
  readonly scale?: number;
}

/** Arrays of {@linkcode linearAttentionReference}. */
export interface LinearAttentionArrays {
  /** `[batch, time, groups, keyDim]`. */
  readonly query: ArrayLike<number>;
  /** `[batch, time, groups, keyDim]`. */
  readonly key: ArrayLike<number>;
  /** `[batch, time, heads, valueDim]`. */
  readonly value: ArrayLike<number>;
  /** `[batch, time, heads]` or `[batch, time, heads, keyDim]`. */
  readonly logDecay?: ArrayLike<number>;
  /** `[heads, keyDim]`. */
  readonly bonus?: ArrayLike<number>;
  /** `[sequences, heads, keyDim, valueDim]`. */
  readonly initialState?: ArrayLike<number>;
}

/** Where one head of one row, or of one sequence, begins. */
interface Addressing {
  readonly bounds: readonly number[];
  readonly sequences: number;
  readonly scale: number;
  key(row: number, head: number): number;
  value(row: number, head: number): number;
  decay(row: number, head: number, k: number): number;
  state(sequence: number, head: number): number;
}

function addressing(shape: LinearAttentionShape, arrays: LinearAttentionArrays): Addressing {
  const { batch, time, heads, groups, keyDim, valueDim } = shape;
  const bounds = shape.segments ?? Array.from({ length: batch + 1 }, (_, b) => b * time);
  const perKey = arrays.logDecay?.length === batch * time * heads * keyDim;
  return {
    bounds,
    sequences: bounds.length - 1,
    scale: shape.scale ?? 1 / Math.sqrt(keyDim),
    key: (row: number, head: number) =>
      (row * groups + Math.floor(head / (heads / groups))) * keyDim,
    value: (row: number, head: number) => (row * heads + head) * valueDim,
    decay: (row: number, head: number, k: number) =>
      perKey ? (row * heads + head) * keyDim + k : row * heads + head,
    state: (sequence: number, head: number) => (sequence * heads + head) * keyDim * valueDim,
  };
}

/** `S_t = exp(g_t) * S_{t-1} + k_t v_tᵀ`, `o_t = scale · q_t S_t`; with a bonus u, `o_t = scale · q_t (S_{t-1} + (u * k_t) v_tᵀ)`. */
export function linearAttentionReference(
  arrays: LinearAttentionArrays,
  shape: LinearAttentionShape,
): { output: Float64Array; finalState: Float64Array } {
  const { query, key, value, logDecay, bonus, initialState } = arrays;
  const { batch, time, heads, keyDim, valueDim } = shape;
  const at = addressing(shape, arrays);
  const output = new Float64Array(batch * time * heads * valueDim);
  const finalState = new Float64Array(at.sequences * heads * keyDim * valueDim);
  if (initialState) finalState.set(initialState);
  for (let s = 0; s < at.sequences; s++) {
    for (let h = 0; h < heads; h++) {
      for (let row = at.bounds[s]; row < at.bounds[s + 1]; row++) {
        for (let k = 0; k < keyDim; k++) {
          const q = at.scale * query[at.key(row, h) + k];
          const decay = logDecay ? Math.exp(logDecay[at.decay(row, h, k)]) : 1;
          for (let v = 0; v < valueDim; v++) {
            const state = at.state(s, h) + k * valueDim + v;
            const update = key[at.key(row, h) + k] * value[at.value(row, h) + v];
            const before = finalState[state];
            finalState[state] = decay * before + update;
            output[at.value(row, h) + v] += q *
              (bonus ? before + bonus[h * keyDim + k] * update : finalState[state]);
          }
        }
      }
    }
  }
  return { output, finalState };
}

/** The gradients of {@linkcode linearAttentionReference}: all states are kept, then the chain rule walks back. */
export function linearAttentionBackwardReference(
  arrays: LinearAttentionArrays & {
    readonly outputGradient: ArrayLike<number>;
    readonly finalStateGradient?: ArrayLike<number>;
  },
  shape: LinearAttentionShape,
): {
  queryGradient: Float64Array;
  keyGradient: Float64Array;
  valueGradient: Float64Array;
  logDecayGradient: Float64Array;
  bonusGradient: Float64Array;
  initialStateGradient: Float64Array;
} {
  const { query, key, value, logDecay, bonus, initialState, outputGradient } = arrays;
  const { heads, keyDim, valueDim } = shape;
  const at = addressing(shape, arrays);
  const queryGradient = new Float64Array(query.length);
  const keyGradient = new Float64Array(key.length);
  const valueGradient = new Float64Array(value.length);
  const logDecayGradient = new Float64Array(logDecay?.length ?? 0);
  const bonusGradient = new Float64Array(bonus?.length ?? 0);
  const initialStateGradient = new Float64Array(at.sequences * heads * keyDim * valueDim);
  if (arrays.finalStateGradient) initialStateGradient.set(arrays.finalStateGradient);
  for (let s = 0; s < at.sequences; s++) {
    for (let h = 0; h < heads; h++) {
      for (let k = 0; k < keyDim; k++) {
        for (let v = 0; v < valueDim; v++) {
          const cell = at.state(s, h) + k * valueDim + v;
          const states = [initialState ? initialState[cell] : 0];
          for (let row = at.bounds[s]; row < at.bounds[s + 1]; row++) {
            const decay = logDecay ? Math.exp(logDecay[at.decay(row, h, k)]) : 1;
            states.push(
              decay * states.at(-1)! + key[at.key(row, h) + k] * value[at.value(row, h) + v],
            );
          }
          let gradient = initialStateGradient[cell];
          for (let row = at.bounds[s + 1] - 1; row >= at.bounds[s]; row--) {
            const atKey = at.key(row, h) + k;
            const atValue = at.value(row, h) + v;
            const before = states[row - at.bounds[s]];
            const after = states[row - at.bounds[s] + 1];
            const read = at.scale * query[atKey] * outputGradient[atValue];
            const decay = logDecay ? Math.exp(logDecay[at.decay(row, h, k)]) : 1;
            if (!bonus) gradient += read;
            let updateGradient = gradient;
            let seen = after;
            if (bonus) {
              const u = bonus[h * keyDim + k];
              const update = key[atKey] * value[atValue];
              updateGradient += u * read;
              seen = before + u * update;
              bonusGradient[h * keyDim + k] += read * update;
            }
            queryGradient[atKey] += at.scale * outputGradient[atValue] * seen;
            keyGradient[atKey] += updateGradient * value[atValue];
            valueGradient[atValue] += updateGradient * key[atKey];
            if (logDecay) logDecayGradient[at.decay(row, h, k)] += gradient * decay * before;
            gradient *= decay;
            if (bonus) gradient += read;
          }
          initialStateGradient[cell] = gradient;
        }
      }
    }
  }
  return {
    queryGradient,
    keyGradient,
    valueGradient,
    logDecayGradient,
    bonusGradient,
    initialStateGradient,
  };
}
