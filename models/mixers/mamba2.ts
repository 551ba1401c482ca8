import {
  activation,
  add,
  convolution,
  gatedActivation,
  linearAttention,
  linearMap,
  multiply,
  reshape,
  rmsNorm,
  scale,
  split,
} from "../operations.ts";
import { constant, free, fromUniform, linear, normal } from "../parameters.ts";
import { F32_BYTES, type Mixed, type Mixer } from "./mixer.ts";

/** Mamba-2's state-space duality layer. */
export interface Mamba2Configuration {
  /** Which mixer this is. */
  readonly kind: "mamba2";
  /** Heads; heads × headDim is the inner width. */
  readonly heads: number;
  /** Size of a head. */
  readonly headDim: number;
  /** Size of the state for each channel. */
  readonly stateDim: number;
  /** Groups of heads that share B and C; 1 unless told. */
  readonly groups?: number;
  /** Width of the short convolution; 4 unless told. */
  readonly convolution?: number;
}

/**
 * Mamba-2 (Dao & Gu 2024, section 7): one projection to gate, input, B, C and Δ; a short convolution
 * over input, B and C; the state-space recurrence `S_t = exp(A Δ_t) S_{t−1} + B_t (Δ_t x_t)ᵀ`,
 * `y_t = C_t S_t + D x_t`; a gated RMS norm.
 */
export function mamba2Mixer(
  width: number,
  configuration: Mamba2Configuration,
  outputGain: number,
): Mixer {
  const { heads, headDim, stateDim, groups = 1, convolution: taps = 4 } = configuration;
  const inner = heads * headDim;
  const shared = groups * stateDim;
  const channels = inner + 2 * shared;
  return {
    parameters: [
      linear("input.weight", inner + channels + heads, width),
      free("convolution.weight", [channels, taps], normal(1 / Math.sqrt(taps))),
      free("convolution.bias", [channels], constant(0)),
      free("decay", [heads], fromUniform(1, 16, Math.log)),
      free(
        "step_bias",
        [heads],
        // The inverse softplus of a step that is log-uniform in 0.001–0.1.
        fromUniform(Math.log(0.001), Math.log(0.1), (log) => Math.log(Math.expm1(Math.exp(log)))),
      ),
      free("skip", [heads], constant(1)),
      free("norm.weight", [inner], constant(1)),
      linear("output.weight", width, inner, outputGain),
    ],
    stateBytes: () => F32_BYTES * (heads * stateDim * headDim + (taps - 1) * channels),
    mix(tape, parameters, x, state): Mixed {
      const [batch, time] = x.shape;
      const projected = linearMap(tape, x, parameters("input.weight"));
      const [gate, convolved, stepInput] = split(tape, projected, [inner, channels, heads]);
      const { output: mixed, finalState: tail } = convolution(tape, {
        x: convolved,
        weight: parameters("convolution.weight"),
        bias: parameters("convolution.bias"),
        tail: state?.tensors.tail,
      }, "silu");
      const [input, key, query] = split(tape, mixed, [inner, shared, shared]);
      const step = activation(tape, add(tape, stepInput, parameters("step_bias")), "softplus");
      const rate = scale(tape, activation(tape, parameters("decay"), "exp"), -1);
      const values = reshape(tape, input, [batch, time, heads, headDim]);
      const { output: read, finalState } = linearAttention(tape, {
        query: reshape(tape, query, [batch, time, groups, stateDim]),
        key: reshape(tape, key, [batch, time, groups, stateDim]),
        value: multiply(tape, values, reshape(tape, step, [batch, time, heads, 1])),
        logDecay: multiply(tape, step, rate),
        state: state?.tensors.state,
      }, { scale: 1 });
      const skipped = multiply(tape, values, reshape(tape, parameters("skip"), [heads, 1]));
      const gated = gatedActivation(
        tape,
        gate,
        reshape(tape, add(tape, read, skipped), [batch, time, inner]),
        "silu",
      );
      const normed = rmsNorm(tape, gated, parameters("norm.weight"), 1e-5);
      return {
        output: linearMap(tape, normed, parameters("output.weight")),
        state: {
          position: (state?.position ?? 0) + time,
          tensors: { tail, state: finalState },
        },
      };
    },
  };
}
