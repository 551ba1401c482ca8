import {
  activation,
  add,
  gatedNorm,
  linearMap,
  multiply,
  reshape,
  scale,
  softplusDecay,
} from "../operations.ts";
import { constant, free, fromUniform, linear, LOG_UNIFORM_STEP } from "../parameters.ts";
import { deltaRule } from "../recurrences.ts";
import {
  exactly,
  FLAG,
  HEADS,
  NOT_NEGATIVE,
  NUMBER,
  oneOf,
  optional,
  type Schema,
  SIZE,
  SIZE_OR_NONE,
} from "../schema.ts";
import type { Variable } from "../tape.ts";
import { F32_BYTES, type Mixed, type Mixer } from "./mixer.ts";
import { runStreams, type Stream, streamBytes, streamParameters, unitLength } from "./parts.ts";

/** Kimi Delta Attention. */
export interface KdaConfiguration {
  /** Which mixer this is. */
  readonly kind: "kda";
  /** Heads of values; each has a state. */
  readonly heads: number;
  /** Heads of keys and queries, which divide the heads. @default heads */
  readonly keyHeads?: number;
  /** Size of a head's keys and queries. */
  readonly keyDim: number;
  /** Size of a head's values. */
  readonly valueDim: number;
  /** Rank of the projections to decays and to the output's gate. @default valueDim */
  readonly rank?: number;
  /** Width of the short convolutions on queries, keys and values; 0 for none. @default 4 */
  readonly convolution?: number;
  /** Let β reach 2, so that the state's eigenvalues may be negative (Grazzi et al. 2025). @default false */
  readonly negativeEigenvalues?: boolean;
  /** The lowest log decay, below 0; a sigmoid takes the softplus's place then. @default no bound */
  readonly lowestLogDecay?: number;
  /** What the norm of each head adds to the mean square. @default 1e-5 */
  readonly normEpsilon?: number;
}

/** What checks it where it comes from a file. */
export const KDA: Schema<KdaConfiguration> = exactly<KdaConfiguration>({
  kind: oneOf(["kda"]),
  heads: HEADS,
  keyHeads: optional(HEADS),
  keyDim: SIZE,
  valueDim: SIZE,
  rank: optional(SIZE),
  convolution: optional(SIZE_OR_NONE),
  negativeEigenvalues: optional(FLAG),
  lowestLogDecay: optional(NUMBER),
  normEpsilon: optional(NOT_NEGATIVE),
});

const NORM_EPSILON = 1e-5;

/**
 * Kimi Delta Attention (Kimi Team 2025, "Kimi Linear", section 3): the delta rule with a decay for each
 * key channel, `g = −A softplus(f(x) + b)` with f of low rank and A for each head; keys and queries of
 * unit length behind a SiLU, β from a sigmoid; a norm for each head and a sigmoid gate of low rank. With
 * a lowest log decay l, `g = l · sigmoid(A (f(x) + b))`.
 */
export function kdaMixer(
  width: number,
  configuration: KdaConfiguration,
  outputGain: number,
): Mixer {
  const { heads, keyHeads = heads, keyDim, valueDim, rank = valueDim } = configuration;
  const { convolution: taps = 4, lowestLogDecay, normEpsilon = NORM_EPSILON } = configuration;
  const beta = configuration.negativeEigenvalues ? 2 : 1;
  const keys = heads * keyDim;
  const values = heads * valueDim;
  const streams: Stream[] = [
    { name: "query", heads: keyHeads, dim: keyDim, activation: "silu" },
    { name: "key", heads: keyHeads, dim: keyDim, activation: "silu" },
    { name: "value", heads, dim: valueDim, activation: "silu" },
  ];
  return {
    parameters: [
      ...streamParameters(width, streams, taps),
      linear("beta.weight", heads, width),
      linear("decay.down.weight", rank, width),
      linear("decay.up.weight", keys, rank),
      free("decay.bias", [keys], LOG_UNIFORM_STEP),
      free(
        "decay.rate",
        [heads],
        lowestLogDecay === undefined ? fromUniform(1, 16, Math.log) : constant(0),
      ),
      linear("gate.down.weight", rank, width),
      linear("gate.up.weight", values, rank),
      free("gate.up.bias", [values], constant(0)),
      free("norm.weight", [valueDim], constant(1)),
      linear("output.weight", width, values, outputGain),
    ],
    recordable: true,
    stateBytes: () => F32_BYTES * keys * valueDim + streamBytes(streams, taps),
    mix(tape, parameters, x, state): Mixed {
      const [batch, time] = x.shape;
      const [gateLow, decayLow] = ["gate", "decay"].map((name) =>
        linearMap(tape, x, parameters(`${name}.down.weight`))
      );
      const strength = activation(tape, linearMap(tape, x, parameters("beta.weight")), "sigmoid");
      const { outputs, tails } = runStreams(tape, parameters, x, streams, taps, state);
      const [query, key, value] = outputs;
      const { output, finalState } = deltaRule(tape, {
        query: unitLength(tape, query),
        key: unitLength(tape, key),
        value,
        beta: beta === 1 ? strength : scale(tape, strength, beta),
        logDecay: logDecay(),
        state: state?.tensors.state,
      }, {});
      const read = gatedNorm(tape, {
        read: reshape(tape, output, [batch, time, values]),
        weight: parameters("norm.weight"),
        gate: add(
          tape,
          linearMap(tape, gateLow, parameters("gate.up.weight")),
          parameters("gate.up.bias"),
        ),
      }, { groups: heads, epsilon: normEpsilon, activation: "sigmoid", gateFirst: false });
      return {
        output: linearMap(tape, read, parameters("output.weight")),
        state: {
          position: (state?.position ?? 0) + time,
          tensors: { ...tails, state: finalState },
        },
      };

      function logDecay(): Variable {
        const shape = [batch, time, heads, keyDim];
        const step = linearMap(tape, decayLow, parameters("decay.up.weight"));
        const [bias, rate] = [parameters("decay.bias"), parameters("decay.rate")];
        if (lowestLogDecay === undefined) {
          return reshape(tape, softplusDecay(tape, step, { bias, rate }), shape);
        }
        const biased = reshape(tape, add(tape, step, bias), shape);
        const factor = activation(tape, reshape(tape, rate, [heads, 1]), "exp");
        const bounded = activation(tape, multiply(tape, biased, factor), "sigmoid");
        return scale(tape, bounded, lowestLogDecay);
      }
    },
  };
}
