import { linearMap, reshape, rmsNorm } from "../operations.ts";
import { constant, free, linear } from "../parameters.ts";
import { linearAttention } from "../recurrences.ts";
import {
  exactly,
  FLAG,
  HEADS,
  NOT_NEGATIVE,
  oneOf,
  optional,
  type Schema,
  SIZE,
  SIZE_OR_NONE,
} from "../schema.ts";
import type { Variable } from "../tape.ts";
import { F32_BYTES, type Mixed, type Mixer } from "./mixer.ts";
import {
  forgetGates,
  readOut,
  readOutParameters,
  runStreams,
  type Stream,
  streamBytes,
  streamParameters,
} from "./parts.ts";

/** HGRN2's gated linear RNN with state expansion. */
export interface Hgrn2Configuration {
  /** Which mixer this is. */
  readonly kind: "hgrn2";
  /** Heads. */
  readonly heads: number;
  /** How much the state is expanded: the size of a head's forget gate. */
  readonly expansion: number;
  /** Size of a head's values. */
  readonly valueDim: number;
  /** Width of the short convolutions on queries, forget gates and values. @default 0, for none, */
  readonly convolution?: number;
  /** Whether each channel's forget gate has a lower bound, `sigmoid(forget.bound)`. @default false */
  readonly bounded?: boolean;
  /** What is normed: each `head` (by default), or the heads `together`, whose queries are over √expansion. */
  readonly outputNorm?: "head" | "together";
  /** What that norm adds to the mean square. @default 1e-5 */
  readonly normEpsilon?: number;
}

/** What checks it where it comes from a file. */
export const HGRN2: Schema<Hgrn2Configuration> = exactly<Hgrn2Configuration>({
  kind: oneOf(["hgrn2"]),
  heads: HEADS,
  expansion: SIZE,
  valueDim: SIZE,
  convolution: optional(SIZE_OR_NONE),
  bounded: optional(FLAG),
  outputNorm: optional(oneOf(["head", "together"])),
  normEpsilon: optional(NOT_NEGATIVE),
});

const NORM_EPSILON = 1e-5;
/** Bounds begin near 0.02. */
const BOUND_START = -4;

/**
 * HGRN2 (Qin et al. 2024, section 3.2): the forget gate f is the decay and 1 − f the key,
 * `S_t = Diag(f_t) S_{t−1} + (1 − f_t) v_tᵀ`, `o_t = q_t S_t`; with a lower bound β,
 * `f = β + (1 − β) sigmoid(x)`.
 */
export function hgrn2Mixer(
  width: number,
  configuration: Hgrn2Configuration,
  outputGain: number,
): Mixer {
  const { heads, expansion, valueDim, convolution: taps = 0, bounded = false } = configuration;
  const { outputNorm = "head", normEpsilon = NORM_EPSILON } = configuration;
  const together = outputNorm === "together";
  const streams: Stream[] = [
    { name: "query", heads, dim: expansion, activation: "silu" },
    { name: "forget", heads, dim: expansion, activation: "none" },
    { name: "value", heads, dim: valueDim, activation: "none" },
  ];
  return {
    parameters: [
      ...streamParameters(width, streams, taps),
      ...(bounded ? [free("forget.bound", [heads, expansion], constant(BOUND_START))] : []),
      ...(together
        ? [
          free("norm.weight", [heads * valueDim], constant(1)),
          linear("output.weight", width, heads * valueDim, outputGain),
        ]
        : readOutParameters(width, heads, valueDim, { gated: false, outputGain })),
    ],
    recordable: true,
    stateBytes: () => F32_BYTES * heads * expansion * valueDim + streamBytes(streams, taps),
    mix(tape, parameters, x, state): Mixed {
      const [batch, time] = x.shape;
      const { outputs, tails } = runStreams(tape, parameters, x, streams, taps, state);
      const [query, forget, value] = outputs;
      const { complement: key, logDecay } = forgetGates(
        tape,
        forget,
        bounded ? parameters("forget.bound") : undefined,
      );
      const { output: read, finalState } = linearAttention(tape, {
        query,
        key,
        value,
        logDecay,
        state: state?.tensors.state,
      }, together ? {} : { scale: 1 });
      return {
        output: together ? normTogether(read) : readOut(tape, parameters, read, { normEpsilon }),
        state: {
          position: (state?.position ?? 0) + time,
          tensors: { ...tails, state: finalState },
        },
      };

      function normTogether(read: Variable): Variable {
        const joined = reshape(tape, read, [batch, time, heads * valueDim]);
        const normed = rmsNorm(tape, joined, parameters("norm.weight"), normEpsilon);
        return linearMap(tape, normed, parameters("output.weight"));
      }
    },
  };
}
