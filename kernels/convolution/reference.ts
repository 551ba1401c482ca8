/** Step-by-step definitions in float64; arrays are row-major. */

/** Extents of a causal convolution. */
export interface CausalConvolutionShape {
  /** Sequences. */
  batch: number;
  /** Steps. */
  time: number;
  /** Channels, each convolved on its own. */
  channels: number;
  /** Taps. */
  width: number;
  /** What the sum goes through. */
  activation: "silu" | "none";
}

/** What the convolution reads, named as in `causalConvolution`. */
export interface CausalConvolutionArrays {
  /** `[batch, time, channels]`. */
  x: ArrayLike<number>;
  /** `[channels, width]`. */
  weight: ArrayLike<number>;
  /** `[channels]`. */
  bias: ArrayLike<number>;
  /** `[batch, width − 1, channels]`. */
  initialTail: ArrayLike<number>;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** `y_t = activation(bias + Σ_j weight_j · x_{t − width + 1 + j})`, the tail being x before step 0. */
export function causalConvolutionReference(
  { x, weight, bias, initialTail }: CausalConvolutionArrays,
  { batch, time, channels, width, activation }: CausalConvolutionShape,
): { output: Float64Array; finalTail: Float64Array } {
  const output = new Float64Array(batch * time * channels);
  const finalTail = new Float64Array(batch * (width - 1) * channels);
  for (let b = 0; b < batch; b++) {
    const at = (t: number, c: number): number =>
      t >= 0
        ? x[(b * time + t) * channels + c]
        : initialTail[(b * (width - 1) + t + width - 1) * channels + c];
    for (let c = 0; c < channels; c++) {
      for (let t = 0; t < time; t++) {
        let z = bias[c];
        for (let j = 0; j < width; j++) z += weight[c * width + j] * at(t - width + 1 + j, c);
        output[(b * time + t) * channels + c] = activation === "silu" ? z * sigmoid(z) : z;
      }
      for (let i = 0; i < width - 1; i++) {
        finalTail[(b * (width - 1) + i) * channels + c] = at(time - width + 1 + i, c);
      }
    }
  }
  return { output, finalTail };
}

/** The gradients of {@linkcode causalConvolutionReference}, each product handing its share back. */
export function causalConvolutionBackwardReference(
  arrays: CausalConvolutionArrays & {
    /** `[batch, time, channels]`. */
    outputGradient: ArrayLike<number>;
    /** `[batch, width − 1, channels]`. */
    finalTailGradient: ArrayLike<number>;
  },
  { batch, time, channels, width, activation }: CausalConvolutionShape,
): {
  xGradient: Float64Array;
  weightGradient: Float64Array;
  biasGradient: Float64Array;
  initialTailGradient: Float64Array;
} {
  const { x, weight, bias, initialTail, outputGradient, finalTailGradient } = arrays;
  const xGradient = new Float64Array(batch * time * channels);
  const weightGradient = new Float64Array(channels * width);
  const biasGradient = new Float64Array(channels);
  const initialTailGradient = new Float64Array(batch * (width - 1) * channels);
  for (let b = 0; b < batch; b++) {
    for (let c = 0; c < channels; c++) {
      const indexOf = (t: number): number =>
        t >= 0 ? (b * time + t) * channels + c : (b * (width - 1) + t + width - 1) * channels + c;
      const at = (t: number): number => t >= 0 ? x[indexOf(t)] : initialTail[indexOf(t)];
      const add = (t: number, gradient: number): void => {
        (t >= 0 ? xGradient : initialTailGradient)[indexOf(t)] += gradient;
      };
      for (let t = 0; t < time; t++) {
        let z = bias[c];
        for (let j = 0; j < width; j++) z += weight[c * width + j] * at(t - width + 1 + j);
        const s = sigmoid(z);
        const zGradient = outputGradient[indexOf(t)] *
          (activation === "silu" ? s * (1 + z * (1 - s)) : 1);
        biasGradient[c] += zGradient;
        for (let j = 0; j < width; j++) {
          weightGradient[c * width + j] += zGradient * at(t - width + 1 + j);
          add(t - width + 1 + j, zGradient * weight[c * width + j]);
        }
      }
      for (let i = 0; i < width - 1; i++) {
        add(time - width + 1 + i, finalTailGradient[(b * (width - 1) + i) * channels + c]);
      }
    }
  }
  return { xGradient, weightGradient, biasGradient, initialTailGradient };
}

/** Arrays of {@linkcode mamba2InputsReference}, by the names of the op. */
export interface Mamba2InputsArrays {
  readonly x: ArrayLike<number>;
  readonly weight: ArrayLike<number>;
  readonly bias?: ArrayLike<number>;
  readonly initialTail?: ArrayLike<number>;
  readonly stepBias: ArrayLike<number>;
  readonly decay: ArrayLike<number>;
}

/** What Mamba-2's state takes, from its projection: token by token and channel by channel. */
export function mamba2InputsReference(
  arrays: Mamba2InputsArrays,
  shape: {
    batch: number;
    time: number;
    heads: number;
    headDim: number;
    shared: number;
    width: number;
    start: number;
    low: number;
    high: number;
  },
): Record<"values" | "input" | "key" | "query" | "logDecay" | "finalTail", Float64Array> {
  const { x, weight, bias, initialTail, stepBias, decay } = arrays;
  const { batch, time, heads, headDim, shared, width, start, low, high } = shape;
  const inner = heads * headDim;
  const channels = inner + 2 * shared;
  const stride = start + channels + heads;
  const before = width - 1;
  const output = {
    values: new Float64Array(batch * time * inner),
    input: new Float64Array(batch * time * inner),
    key: new Float64Array(batch * time * shared),
    query: new Float64Array(batch * time * shared),
    logDecay: new Float64Array(batch * time * heads),
    finalTail: new Float64Array(batch * before * channels),
  };
  const at = (b: number, t: number, channel: number): number =>
    t >= 0
      ? x[(b * time + t) * stride + start + channel]
      : initialTail?.[(b * before + before + t) * channels + channel] ?? 0;
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < time; t++) {
      const row = b * time + t;
      const steps = Array.from({ length: heads }, (_, head) => {
        const free = x[row * stride + start + channels + head] + stepBias[head];
        return Math.min(high, Math.max(low, Math.log1p(Math.exp(free))));
      });
      steps.forEach((step, head) => {
        output.logDecay[row * heads + head] = -Math.exp(decay[head]) * step;
      });
      for (let channel = 0; channel < channels; channel++) {
        let z = bias?.[channel] ?? 0;
        for (let tap = 0; tap < width; tap++) {
          z += weight[channel * width + tap] * at(b, t - before + tap, channel);
        }
        const y = z / (1 + Math.exp(-z));
        if (channel < inner) {
          output.values[row * inner + channel] = y;
          output.input[row * inner + channel] = y * steps[Math.floor(channel / headDim)];
        } else if (channel < inner + shared) {
          output.key[row * shared + channel - inner] = y;
        } else {
          output.query[row * shared + channel - inner - shared] = y;
        }
      }
    }
    for (let i = 0; i < before * channels; i++) {
      const step = Math.floor(i / channels);
      output.finalTail[b * before * channels + i] = at(b, time - before + step, i % channels);
    }
  }
  return output;
}

/** The gradients of {@linkcode mamba2InputsReference}, each product handing its share back. */
export function mamba2InputsBackwardReference(
  arrays: Mamba2InputsArrays & {
    readonly gateGradient: ArrayLike<number>;
    readonly valuesGradient: ArrayLike<number>;
    readonly inputGradient: ArrayLike<number>;
    readonly keyGradient: ArrayLike<number>;
    readonly queryGradient: ArrayLike<number>;
    readonly logDecayGradient: ArrayLike<number>;
    readonly finalTailGradient: ArrayLike<number>;
  },
  shape: Parameters<typeof mamba2InputsReference>[1],
): Record<
  | "xGradient"
  | "weightGradient"
  | "biasGradient"
  | "initialTailGradient"
  | "stepBiasGradient"
  | "decayGradient",
  Float64Array
> {
  const { x, weight, bias, initialTail, stepBias, decay } = arrays;
  const { batch, time, heads, headDim, shared, width, start, low, high } = shape;
  const inner = heads * headDim;
  const channels = inner + 2 * shared;
  const stride = start + channels + heads;
  const before = width - 1;
  const gradients = {
    xGradient: new Float64Array(x.length),
    weightGradient: new Float64Array(channels * width),
    biasGradient: new Float64Array(channels),
    initialTailGradient: new Float64Array(batch * before * channels),
    stepBiasGradient: new Float64Array(heads),
    decayGradient: new Float64Array(heads),
  };
  const place = (b: number, t: number, channel: number): number =>
    t >= 0
      ? (b * time + t) * stride + start + channel
      : (b * before + before + t) * channels + channel;
  const at = (b: number, t: number, channel: number): number =>
    (t >= 0 ? x : initialTail)?.[place(b, t, channel)] ?? 0;
  const give = (b: number, t: number, channel: number, share: number): void => {
    (t >= 0 ? gradients.xGradient : gradients.initialTailGradient)[place(b, t, channel)] += share;
  };
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < time; t++) {
      const row = b * time + t;
      for (let c = 0; c < start; c++) {
        gradients.xGradient[row * stride + c] = arrays.gateGradient[row * start + c];
      }
      const ofStep = new Float64Array(heads);
      const free = (head: number): number =>
        x[row * stride + start + channels + head] + stepBias[head];
      const softplus = (head: number): number => Math.log1p(Math.exp(free(head)));
      const step = (head: number): number => Math.min(high, Math.max(low, softplus(head)));
      for (let channel = 0; channel < channels; channel++) {
        let z = bias?.[channel] ?? 0;
        for (let tap = 0; tap < width; tap++) {
          z += weight[channel * width + tap] * at(b, t - before + tap, channel);
        }
        const s = sigmoid(z);
        let outputGradient: number;
        if (channel < inner) {
          const head = Math.floor(channel / headDim);
          const inputGradient = arrays.inputGradient[row * inner + channel];
          outputGradient = arrays.valuesGradient[row * inner + channel] +
            step(head) * inputGradient;
          ofStep[head] += inputGradient * z * s;
        } else if (channel < inner + shared) {
          outputGradient = arrays.keyGradient[row * shared + channel - inner];
        } else {
          outputGradient = arrays.queryGradient[row * shared + channel - inner - shared];
        }
        const zGradient = outputGradient * s * (1 + z * (1 - s));
        gradients.biasGradient[channel] += zGradient;
        for (let tap = 0; tap < width; tap++) {
          gradients.weightGradient[channel * width + tap] += zGradient *
            at(b, t - before + tap, channel);
          give(b, t - before + tap, channel, zGradient * weight[channel * width + tap]);
        }
      }
      for (let head = 0; head < heads; head++) {
        const rate = Math.exp(decay[head]);
        const logDecayGradient = arrays.logDecayGradient[row * heads + head];
        gradients.decayGradient[head] -= logDecayGradient * rate * step(head);
        ofStep[head] -= logDecayGradient * rate;
        const isHeld = softplus(head) <= low || softplus(head) >= high; // NaN is not
        const gradient = isHeld ? 0 : ofStep[head] * sigmoid(free(head));
        gradients.xGradient[row * stride + start + channels + head] = gradient;
        gradients.stepBiasGradient[head] += gradient;
      }
    }
    for (let i = 0; i < before; i++) {
      for (let channel = 0; channel < channels; channel++) {
        const share = arrays.finalTailGradient[(b * before + i) * channels + channel];
        give(b, time - before + i, channel, share);
      }
    }
  }
  return gradients;
}
