import { ACTIVATION_KINDS, type ActivationKind } from "../../kernels/activation/mod.ts";
import {
  activation,
  concatenate,
  linearMap,
  reshape,
  scale,
  softplusDecay,
  split,
} from "../operations.ts";
import { free, fromUniform, linear, LOG_UNIFORM_STEP } from "../parameters.ts";
import { deltaRule } from "../recurrences.ts";
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
  SIZE_OR_NONE,
} from "../schema.ts";
import { type Tape, Variable } from "../tape.ts";
import { F32_BYTES, type Mixed, type Mixer } from "./mixer.ts";
import {
  outputGate,
  readOut,
  readOutParameters,
  runStreams,
  type Stream,
  streamBytes,
  streamParameters,
  unitLength,
} from "./parts.ts";

/** The delta rule, with a decay or without. */
export interface DeltaNetConfiguration {
  /** Which mixer this is: `gated_delta_net` has a decay for each head. */
  readonly kind: "delta_net" | "gated_delta_net";
  /** Heads of values; each has a state. */
  readonly heads: number;
  /** Heads of keys and queries, which divide the heads. @default as many */
  readonly keyHeads?: number;
  /** Size of a head's keys and queries. */
  readonly keyDim: number;
  /** Size of a head's values. */
  readonly valueDim: number;
  /** Width of the short convolutions on queries, keys and values; 4 by default, 0 for none. */
  readonly convolution?: number;
  /** What acts on queries and keys before they get unit length. @default `silu`, as on the values, */
  readonly activation?: ActivationKind | "none";
  /** Whether β is 1 (2 with negative eigenvalues) instead of the input's choice. @default false */
  readonly fixedStrength?: boolean;
  /** Whether the output is gated. @default that of `gated_delta_net` is */
  readonly outputGate?: boolean;
  /** What the norm of each head adds to the mean square. @default 1e-5 */
  readonly normEpsilon?: number;
  /** Let β reach 2, so that the state's eigenvalues may be negative (Grazzi et al. 2025). */
  readonly negativeEigenvalues?: boolean;
  /**
   * Writes per token, each with a key, a value and a β of its own: DeltaProduct (Siems et al. 2025),
   * whose transition is a product of so many Householder matrices. @default 1
   */
  readonly steps?: number;
}

/** What checks it where it comes from a file. */
export const DELTA_NET: Schema<DeltaNetConfiguration> = exactly<DeltaNetConfiguration>({
  kind: oneOf(["delta_net", "gated_delta_net"]),
  heads: HEADS,
  keyHeads: optional(HEADS),
  keyDim: SIZE,
  valueDim: SIZE,
  convolution: optional(SIZE_OR_NONE),
  activation: optional(oneOf([...ACTIVATION_KINDS, "none"])),
  fixedStrength: optional(FLAG),
  outputGate: optional(FLAG),
  normEpsilon: optional(NOT_NEGATIVE),
  negativeEigenvalues: optional(FLAG),
  steps: optional(integer(1, 64)),
});

/**
 * DeltaNet (Yang et al. 2024, section 3) and Gated DeltaNet (Yang et al. 2025, section 3.1): keys and
 * queries of unit length behind a SiLU, β from a sigmoid; the gated form's log decay is
 * `−A softplus(x W + b)`, as Mamba-2's. DeltaProduct (Siems et al. 2025, section 3) is the same rule on
 * `steps` times as many time steps: a token's decay comes before its first write, its query reads behind
 * its last.
 */
export function deltaNetMixer(
  width: number,
  configuration: DeltaNetConfiguration,
  outputGain: number,
): Mixer {
  const { kind, heads, keyDim, valueDim, convolution: taps = 4 } = configuration;
  const { keyHeads = heads, activation: keyActivation = "silu", normEpsilon } = configuration;
  const { fixedStrength = false, outputGate: gated = kind === "gated_delta_net" } = configuration;
  const decays = kind === "gated_delta_net";
  const { steps = 1 } = configuration;
  const mostBeta = configuration.negativeEigenvalues ? 2 : 1;
  const streams: Stream[] = [
    { name: "query", heads: keyHeads, dim: keyDim, activation: keyActivation },
    { name: "key", heads: steps * keyHeads, dim: keyDim, activation: keyActivation },
    { name: "value", heads: steps * heads, dim: valueDim, activation: "silu" },
  ];
  return {
    parameters: [
      ...streamParameters(width, streams, taps),
      ...(fixedStrength ? [] : [linear("beta.weight", steps * heads, width)]),
      ...(decays
        ? [
          linear("decay.weight", heads, width),
          free("decay.rate", [heads], fromUniform(1, 16, Math.log)),
          free("decay.bias", [heads], LOG_UNIFORM_STEP),
        ]
        : []),
      ...readOutParameters(width, heads, valueDim, { gated, outputGain }),
    ],
    recordable: true,
    stateBytes: () => F32_BYTES * heads * keyDim * valueDim + streamBytes(streams, taps),
    mix(tape, parameters, x, state): Mixed {
      const [batch, time] = x.shape;
      const gate = outputGate(tape, parameters, x, { gated });
      const beta = strength();
      const decay = decays ? linearMap(tape, x, parameters("decay.weight")) : undefined;
      const { outputs, tails } = runStreams(tape, parameters, x, streams, taps, state);
      const [query, key, value] = outputs;
      const logDecay = decay && softplusDecay(tape, decay, {
        bias: parameters("decay.bias"),
        rate: parameters("decay.rate"),
      });
      const stepwise = (x: Variable, rest: readonly number[]): Variable =>
        reshape(tape, x, [batch, time * steps, ...rest]);
      const { output, finalState } = deltaRule(tape, {
        query: stepwise(atStep(tape, unitLength(tape, query), steps - 1, steps), [
          keyHeads,
          keyDim,
        ]),
        key: stepwise(unitLength(tape, key), [keyHeads, keyDim]),
        value: stepwise(value, [heads, valueDim]),
        beta: stepwise(beta, [heads]),
        logDecay: logDecay && stepwise(atStep(tape, logDecay, 0, steps), [heads]),
        state: state?.tensors.state,
      }, { steps });
      const read = reshape(tape, lastStep(tape, output, steps), [batch, time, heads, valueDim]);
      return {
        output: readOut(tape, parameters, read, { gate, normEpsilon }),
        state: {
          position: (state?.position ?? 0) + x.shape[1],
          tensors: { ...tails, state: finalState },
        },
      };

      function strength(): Variable {
        if (fixedStrength) {
          const shape = [batch, time, steps * heads];
          const values = new Float32Array(shape[0] * shape[1] * shape[2]).fill(mostBeta);
          return new Variable(tape.own(tape.gpu.tensor(shape, values)));
        }
        const free = activation(tape, linearMap(tape, x, parameters("beta.weight")), "sigmoid");
        return mostBeta === 1 ? free : scale(tape, free, mostBeta);
      }
    },
  };
}

/** A token's values at one of its steps, zeros at the others: `[batch, time, steps · channels]`. */
function atStep(tape: Tape, x: Variable, step: number, steps: number): Variable {
  if (steps === 1) return x;
  const [batch, time, ...rest] = x.shape;
  const shape = [batch, time, rest.reduce((product, extent) => product * extent, 1)];
  const zeros = new Variable(tape.own(tape.gpu.tensor(shape)));
  return concatenate(
    tape,
    Array.from({ length: steps }, (_, i) => i === step ? reshape(tape, x, shape) : zeros),
  );
}

/** What each token's last step gave, of `[batch, time · steps, heads, dim]`. */
function lastStep(tape: Tape, x: Variable, steps: number): Variable {
  if (steps === 1) return x;
  const [batch, time, heads, dim] = x.shape;
  const size = heads * dim;
  const joined = reshape(tape, x, [batch, time / steps, steps * size]);
  return split(tape, joined, [(steps - 1) * size, size])[1];
}
