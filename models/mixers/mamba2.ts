import { affine, affineParameters } from "../affine.ts";
import { gatedNorm, reshape } from "../operations.ts";
import { constant, free, fromUniform, LOG_UNIFORM_STEP, normal } from "../parameters.ts";
import { linearAttention } from "../recurrences.ts";
import {
  exactly,
  FLAG,
  HEADS,
  integer,
  NOT_NEGATIVE,
  oneOf,
  optional,
  type Schema,
  SIZE,
} from "../schema.ts";
import { F32_BYTES, type Mixed, type Mixer } from "./mixer.ts";
import { selectInputs } from "./mamba2_inputs.ts";

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
  /** Groups of heads that share B and C. @default 1 */
  readonly groups?: number;
  /** Width of the short convolution. @default 4 */
  readonly convolution?: number;
  /** Whether the convolution has a bias. @default true */
  readonly convolutionBias?: boolean;
  /** Whether the projections in and out have biases. @default false */
  readonly bias?: boolean;
  /** Whether the projection out has one, where that is another thing. @default bias */
  readonly outputBias?: boolean;
  /** Bounds of the step Δ behind its softplus. @default none */
  readonly stepLimit?: { readonly low?: number; readonly high?: number };
  /** Whether the norm comes before the gate instead of behind it. @default false */
  readonly normBeforeGate?: boolean;
  /** Parts of the inner width that are normed each on its own; 1 by default, 0 for no norm. */
  readonly normGroups?: number;
  /** What the norm adds to the mean square. @default 1e-5 */
  readonly normEpsilon?: number;
}

/** What checks it where it comes from a file. */
export const MAMBA2: Schema<Mamba2Configuration> = exactly<Mamba2Configuration>({
  kind: oneOf(["mamba2"]),
  heads: HEADS,
  headDim: SIZE,
  stateDim: SIZE,
  groups: optional(HEADS),
  convolution: optional(SIZE),
  convolutionBias: optional(FLAG),
  bias: optional(FLAG),
  outputBias: optional(FLAG),
  stepLimit: optional(exactly<NonNullable<Mamba2Configuration["stepLimit"]>>({
    low: optional(NOT_NEGATIVE),
    high: optional(NOT_NEGATIVE),
  })),
  normBeforeGate: optional(FLAG),
  normGroups: optional(integer(0, 4096)),
  normEpsilon: optional(NOT_NEGATIVE),
});

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
  const { convolutionBias = true, bias = false, stepLimit = {} } = configuration;
  const { outputBias = bias } = configuration;
  const { normBeforeGate = false, normGroups = 1, normEpsilon = 1e-5 } = configuration;
  const inner = heads * headDim;
  const shared = groups * stateDim;
  const channels = inner + 2 * shared;
  return {
    parameters: [
      ...affineParameters("input", inner + channels + heads, width, { bias }),
      free("convolution.weight", [channels, taps], normal(1 / Math.sqrt(taps))),
      ...(convolutionBias ? [free("convolution.bias", [channels], constant(0))] : []),
      free("decay", [heads], fromUniform(1, 16, Math.log)),
      free("step_bias", [heads], LOG_UNIFORM_STEP),
      free("skip", [heads], constant(1)),
      ...(normGroups === 0 ? [] : [free("norm.weight", [inner], constant(1))]),
      ...affineParameters("output", width, inner, { bias: outputBias, gain: outputGain }),
    ],
    recordable: true,
    stateBytes: () => F32_BYTES * (heads * stateDim * headDim + (taps - 1) * channels),
    mix(tape, parameters, x, state): Mixed {
      const [batch, time] = x.shape;
      const projected = affine(tape, parameters, "input", x, { bias });
      const { gate, values, input, key, query, logDecay, tail } = selectInputs(tape, {
        projected,
        weight: parameters("convolution.weight"),
        bias: convolutionBias ? parameters("convolution.bias") : undefined,
        tail: state?.tensors.tail,
        stepBias: parameters("step_bias"),
        decay: parameters("decay"),
      }, { headDim, limit: stepLimit });
      const { output: read, finalState } = linearAttention(tape, {
        query: reshape(tape, query, [batch, time, groups, stateDim]),
        key: reshape(tape, key, [batch, time, groups, stateDim]),
        value: input,
        logDecay,
        state: state?.tensors.state,
      }, { scale: 1 });
      const gated = gatedNorm(tape, {
        read: reshape(tape, read, [batch, time, inner]),
        weight: normGroups === 0 ? undefined : parameters("norm.weight"),
        gate,
        skipped: {
          values: reshape(tape, values, [batch, time, inner]),
          skip: parameters("skip"),
        },
      }, {
        groups: Math.max(1, normGroups),
        epsilon: normEpsilon,
        activation: "silu",
        gateFirst: !normBeforeGate,
      });
      return {
        output: affine(tape, parameters, "output", gated, { bias: outputBias }),
        state: {
          position: (state?.position ?? 0) + time,
          tensors: { tail, state: finalState },
        },
      };
    },
  };
}
