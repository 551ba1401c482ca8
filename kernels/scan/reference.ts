/** Step-by-step definitions in float64; arrays are row-major. */

/** Extents of an elementwise sequence. */
export interface ScanShape {
  /** Sequences. */
  batch: number;
  /** Steps. */
  time: number;
  /** Channels, each with a state of its own. */
  channels: number;
}

/** What the scan reads, named as in `scan`. */
export interface ScanArrays {
  /** `[batch, time, channels]`. */
  decay: ArrayLike<number>;
  /** `[batch, time, channels]`. */
  input: ArrayLike<number>;
  /** `[batch, channels]`; left out, 0. */
  initialState?: ArrayLike<number>;
}

/** What gradients begin with, named as in `scanBackward`. */
export interface OuterGradients {
  /** `[batch, time, channels]`. */
  outputGradient: ArrayLike<number>;
  /** Of the state's shape; left out, 0. */
  finalStateGradient?: ArrayLike<number>;
}

/** `h_t = decay_t · h_{t−1} + input_t`. */
export function scanReference(
  { decay, input, initialState }: ScanArrays,
  { batch, time, channels }: ScanShape,
): { output: Float64Array; finalState: Float64Array } {
  const output = new Float64Array(batch * time * channels);
  const state = new Float64Array(batch * channels);
  if (initialState) state.set(initialState);
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < time; t++) {
      for (let c = 0; c < channels; c++) {
        const at = (b * time + t) * channels + c;
        state[b * channels + c] = decay[at] * state[b * channels + c] + input[at];
        output[at] = state[b * channels + c];
      }
    }
  }
  return { output, finalState: state };
}

/** The gradients of {@linkcode scanReference}, from the last step to the first. */
export function scanBackwardReference(
  arrays: Omit<ScanArrays, "input"> & OuterGradients & { output: ArrayLike<number> },
  { batch, time, channels }: ScanShape,
): {
  decayGradient: Float64Array;
  inputGradient: Float64Array;
  initialStateGradient: Float64Array;
} {
  const { decay, output, outputGradient, initialState, finalStateGradient } = arrays;
  const decayGradient = new Float64Array(batch * time * channels);
  const inputGradient = new Float64Array(batch * time * channels);
  const stateGradient = new Float64Array(batch * channels);
  if (finalStateGradient) stateGradient.set(finalStateGradient);
  for (let b = 0; b < batch; b++) {
    for (let t = time - 1; t >= 0; t--) {
      for (let c = 0; c < channels; c++) {
        const at = (b * time + t) * channels + c;
        const state = b * channels + c;
        const before = t > 0 ? output[at - channels] : initialState?.[state] ?? 0;
        stateGradient[state] += outputGradient[at];
        inputGradient[at] = stateGradient[state];
        decayGradient[at] = stateGradient[state] * before;
        stateGradient[state] *= decay[at];
      }
    }
  }
  return { decayGradient, inputGradient, initialStateGradient: stateGradient };
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** What RG-LRU reads, named as in `rgLru`. */
export interface RgLruArrays {
  /** `[batch, time, channels]`. */
  input: ArrayLike<number>;
  /** `[batch, time, channels]`. */
  recurrenceGate: ArrayLike<number>;
  /** `[batch, time, channels]`. */
  inputGate: ArrayLike<number>;
  /** `[channels]`. */
  decayParameter: ArrayLike<number>;
  /** `[batch, channels]`. */
  initialState: ArrayLike<number>;
}

/** `h_t = a_t · h_{t−1} + √(1 − a_t²) · σ(inputGate_t) · x_t`, `a_t = exp(−8 · softplus(Λ) · σ(recurrenceGate_t))`. */
export function rgLruReference(
  { input, recurrenceGate, inputGate, decayParameter, initialState }: RgLruArrays,
  { batch, time, channels }: ScanShape,
  resetFirst = false,
): { output: Float64Array; finalState: Float64Array } {
  const output = new Float64Array(batch * time * channels);
  const state = Float64Array.from(initialState);
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < time; t++) {
      for (let c = 0; c < channels; c++) {
        const at = (b * time + t) * channels + c;
        const reset = resetFirst && t === 0;
        const logA = -8 * softplus(decayParameter[c]) * sigmoid(recurrenceGate[at]);
        const a = reset ? 0 : Math.exp(logA);
        const multiplier = reset ? 1 : Math.sqrt(-Math.expm1(2 * logA));
        state[b * channels + c] = a * state[b * channels + c] +
          multiplier * sigmoid(inputGate[at]) * input[at];
        output[at] = state[b * channels + c];
      }
    }
  }
  return { output, finalState: state };
}

/** The gradients of {@linkcode rgLruReference}; d√x/dx is at most 1000. */
export function rgLruBackwardReference(
  arrays: RgLruArrays & Required<OuterGradients>,
  shape: ScanShape,
  resetFirst = false,
): {
  inputGradient: Float64Array;
  recurrenceGateGradient: Float64Array;
  inputGateGradient: Float64Array;
  decayParameterGradient: Float64Array;
  initialStateGradient: Float64Array;
} {
  const { batch, time, channels } = shape;
  const { input, recurrenceGate, inputGate, decayParameter, initialState } = arrays;
  const { outputGradient, finalStateGradient } = arrays;
  const { output } = rgLruReference(arrays, shape, resetFirst);
  const inputGradient = new Float64Array(batch * time * channels);
  const recurrenceGateGradient = new Float64Array(batch * time * channels);
  const inputGateGradient = new Float64Array(batch * time * channels);
  const decayParameterGradient = new Float64Array(channels);
  const stateGradient = Float64Array.from(finalStateGradient);
  for (let b = 0; b < batch; b++) {
    for (let t = time - 1; t >= 0; t--) {
      for (let c = 0; c < channels; c++) {
        const at = (b * time + t) * channels + c;
        const state = b * channels + c;
        const before = t > 0 ? output[at - channels] : initialState[state];
        const reset = resetFirst && t === 0;
        const r = sigmoid(recurrenceGate[at]);
        const i = sigmoid(inputGate[at]);
        const logA = -8 * softplus(decayParameter[c]) * r;
        const a = reset ? 0 : Math.exp(logA);
        const multiplier = reset ? 1 : Math.sqrt(-Math.expm1(2 * logA));
        const rootGradient = Math.min(1 / (2 * multiplier), 1000);
        stateGradient[state] += outputGradient[at];
        const gradient = stateGradient[state];
        inputGradient[at] = gradient * multiplier * i;
        inputGateGradient[at] = gradient * multiplier * input[at] * i * (1 - i);
        // A reset step reads no recurrence gate, whatever was before it.
        const logAGradient = reset
          ? 0
          : gradient * before * a - gradient * i * input[at] * rootGradient * 2 * a * a;
        recurrenceGateGradient[at] = logAGradient * logA * (1 - r);
        decayParameterGradient[c] += logAGradient * -8 * r * sigmoid(decayParameter[c]);
        stateGradient[state] *= a;
      }
    }
  }
  return {
    inputGradient,
    recurrenceGateGradient,
    inputGateGradient,
    decayParameterGradient,
    initialStateGradient: stateGradient,
  };
}

/** Extents of a selective scan. */
export interface SelectiveScanShape extends ScanShape {
  /** States of a channel. */
  state: number;
}

/** What the selective scan reads, named as in `selectiveScan`. */
export interface SelectiveScanArrays {
  /** `[batch, time, channels]`. */
  input: ArrayLike<number>;
  /** Before the softplus: `[batch, time, channels]`. */
  delta: ArrayLike<number>;
  /** `[channels, state]`. */
  a: ArrayLike<number>;
  /** `[batch, time, state]`. */
  b: ArrayLike<number>;
  /** `[batch, time, state]`. */
  c: ArrayLike<number>;
  /** `[channels]`. */
  skip: ArrayLike<number>;
  /** `[batch, time, channels]`. */
  gate: ArrayLike<number>;
  /** `[channels]`. */
  deltaBias: ArrayLike<number>;
  /** `[batch, channels, state]`. */
  initialState: ArrayLike<number>;
}

/** `h_t = exp(Δ_t A) · h_{t−1} + Δ_t u_t B_t`, `y_t = (C_t · h_t + D u_t) · silu(z_t)`, `Δ = softplus(delta + deltaBias)`. */
export function selectiveScanReference(
  arrays: SelectiveScanArrays,
  { batch, time, channels, state }: SelectiveScanShape,
): { output: Float64Array; finalState: Float64Array } {
  const { input, delta, a, b, c, skip, gate, deltaBias, initialState } = arrays;
  const output = new Float64Array(batch * time * channels);
  const h = Float64Array.from(initialState);
  for (let i = 0; i < batch; i++) {
    for (let t = 0; t < time; t++) {
      for (let d = 0; d < channels; d++) {
        const at = (i * time + t) * channels + d;
        const step = softplus(delta[at] + deltaBias[d]);
        let y = skip[d] * input[at];
        for (let n = 0; n < state; n++) {
          const own = (i * channels + d) * state + n;
          const shared = (i * time + t) * state + n;
          h[own] = Math.exp(step * a[d * state + n]) * h[own] + step * input[at] * b[shared];
          y += c[shared] * h[own];
        }
        output[at] = y * gate[at] * sigmoid(gate[at]);
      }
    }
  }
  return { output, finalState: h };
}

/** The gradients of {@linkcode selectiveScanReference}, from the last step to the first; every state is kept. */
export function selectiveScanBackwardReference(
  arrays: SelectiveScanArrays & Required<OuterGradients>,
  { batch, time, channels, state }: SelectiveScanShape,
): Record<`${keyof SelectiveScanArrays}Gradient`, Float64Array> {
  const { outputGradient, finalStateGradient } = arrays;
  const { input, delta, a, b, c, skip, gate, deltaBias, initialState } = arrays;
  const gradients = {
    inputGradient: new Float64Array(batch * time * channels),
    deltaGradient: new Float64Array(batch * time * channels),
    aGradient: new Float64Array(channels * state),
    bGradient: new Float64Array(batch * time * state),
    cGradient: new Float64Array(batch * time * state),
    skipGradient: new Float64Array(channels),
    gateGradient: new Float64Array(batch * time * channels),
    deltaBiasGradient: new Float64Array(channels),
    initialStateGradient: Float64Array.from(finalStateGradient),
  };
  const g = gradients.initialStateGradient;
  for (let i = 0; i < batch; i++) {
    for (let d = 0; d < channels; d++) {
      const own = (i * channels + d) * state;
      const states = [Float64Array.from({ length: state }, (_, n) => initialState[own + n])];
      for (let t = 0; t < time; t++) {
        const at = (i * time + t) * channels + d;
        const step = softplus(delta[at] + deltaBias[d]);
        states.push(states[t].map((before, n) =>
          Math.exp(step * a[d * state + n]) * before +
          step * input[at] * b[(i * time + t) * state + n]
        ));
      }
      for (let t = time - 1; t >= 0; t--) {
        const at = (i * time + t) * channels + d;
        const shared = (i * time + t) * state;
        const step = softplus(delta[at] + deltaBias[d]);
        const s = sigmoid(gate[at]);
        const yGradient = outputGradient[at] * gate[at] * s;
        let y = skip[d] * input[at];
        let stepGradient = 0;
        gradients.inputGradient[at] = yGradient * skip[d];
        gradients.skipGradient[d] += yGradient * input[at];
        for (let n = 0; n < state; n++) {
          const h = states[t + 1][n];
          const decayed = Math.exp(step * a[d * state + n]) * states[t][n];
          y += c[shared + n] * h;
          g[own + n] += yGradient * c[shared + n];
          gradients.cGradient[shared + n] += yGradient * h;
          gradients.bGradient[shared + n] += g[own + n] * step * input[at];
          gradients.inputGradient[at] += g[own + n] * step * b[shared + n];
          gradients.aGradient[d * state + n] += g[own + n] * decayed * step;
          stepGradient += g[own + n] *
            (decayed * a[d * state + n] + input[at] * b[shared + n]);
          g[own + n] *= Math.exp(step * a[d * state + n]);
        }
        gradients.gateGradient[at] = outputGradient[at] * y * s * (1 + gate[at] * (1 - s));
        gradients.deltaGradient[at] = stepGradient * sigmoid(delta[at] + deltaBias[d]);
        gradients.deltaBiasGradient[d] += gradients.deltaGradient[at];
      }
    }
  }
  return gradients;
}
