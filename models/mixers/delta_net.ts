import { activation, add, deltaRule, linearMap, multiply, scale } from "../operations.ts";
import { free, fromUniform, linear, LOG_UNIFORM_STEP } from "../parameters.ts";
import type { Variable } from "../tape.ts";
import { F32_BYTES, type Mixed, type Mixer } from "./mixer.ts";
import {
  readOut,
  readOutParameters,
  runStreams,
  streamBytes,
  streamParameters,
  unitLength,
} from "./parts.ts";

/** The delta rule, with a decay or without. */
export interface DeltaNetConfiguration {
  /** Which mixer this is: `gated_delta_net` has a decay for each head and an output gate. */
  readonly kind: "delta_net" | "gated_delta_net";
  /** Heads. */
  readonly heads: number;
  /** Size of a head's keys and queries. */
  readonly keyDim: number;
  /** Size of a head's values. */
  readonly valueDim: number;
  /** Width of the short convolutions on queries, keys and values; 4 unless told, 0 for none. */
  readonly convolution?: number;
  /** Let β reach 2, so that the state's eigenvalues may be negative (Grazzi et al. 2025). */
  readonly negativeEigenvalues?: boolean;
}

/**
 * DeltaNet (Yang et al. 2024, section 3) and Gated DeltaNet (Yang et al. 2025, section 3.1): keys and
 * queries of unit length, β from a sigmoid; the gated form's log decay is `−A softplus(x W + b)`, as
 * Mamba-2's.
 */
export function deltaNetMixer(
  width: number,
  configuration: DeltaNetConfiguration,
  outputGain: number,
): Mixer {
  const { kind, heads, keyDim, valueDim, convolution: taps = 4 } = configuration;
  const gated = kind === "gated_delta_net";
  const beta = configuration.negativeEigenvalues ? 2 : 1;
  const streams = [
    { name: "query", heads, dim: keyDim },
    { name: "key", heads, dim: keyDim },
    { name: "value", heads, dim: valueDim },
  ];
  return {
    parameters: [
      ...streamParameters(width, streams, taps),
      linear("beta.weight", heads, width),
      ...(gated
        ? [
          linear("decay.weight", heads, width),
          free("decay.rate", [heads], fromUniform(1, 16, Math.log)),
          free("decay.bias", [heads], LOG_UNIFORM_STEP),
        ]
        : []),
      ...readOutParameters(width, heads, valueDim, { gated, outputGain }),
    ],
    stateBytes: () => F32_BYTES * heads * keyDim * valueDim + streamBytes(streams, taps),
    mix(tape, parameters, x, state): Mixed {
      const { outputs, tails } = runStreams(tape, parameters, x, streams, taps, state);
      const [query, key, value] = outputs;
      const strength = activation(tape, linearMap(tape, x, parameters("beta.weight")), "sigmoid");
      const { output: read, finalState } = deltaRule(tape, {
        query: unitLength(tape, query),
        key: unitLength(tape, key),
        value,
        beta: beta === 1 ? strength : scale(tape, strength, beta),
        logDecay: gated ? logDecay() : undefined,
        state: state?.tensors.state,
      }, {});
      return {
        output: readOut(tape, parameters, x, read, { gated }),
        state: {
          position: (state?.position ?? 0) + x.shape[1],
          tensors: { ...tails, state: finalState },
        },
      };

      function logDecay(): Variable {
        const step = activation(
          tape,
          add(tape, linearMap(tape, x, parameters("decay.weight")), parameters("decay.bias")),
          "softplus",
        );
        const rate = scale(tape, activation(tape, parameters("decay.rate"), "exp"), -1);
        return multiply(tape, step, rate);
      }
    },
  };
}
