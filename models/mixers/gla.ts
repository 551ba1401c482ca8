import { ACTIVATION_KINDS, type ActivationKind } from "../../kernels/activation/mod.ts";
import { activation, add, clamp, linearMap, reshape, scale } from "../operations.ts";
import { constant, free, linear } from "../parameters.ts";
import { linearAttention } from "../recurrences.ts";
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
import {
  outputGate,
  readOut,
  readOutParameters,
  repeatHeads,
  runStreams,
  streamBytes,
  streamParameters,
} from "./parts.ts";

/** Gated linear attention. */
export interface GlaConfiguration {
  /** Which mixer this is. */
  readonly kind: "gla";
  /** Heads of queries; each has a state. */
  readonly heads: number;
  /** Heads of keys, values and decays, which divide the heads. @default as many */
  readonly keyHeads?: number;
  /** Size of a head's keys and queries. */
  readonly keyDim: number;
  /** Size of a head's values. */
  readonly valueDim: number;
  /** Rank of the decay's projection. @default 16 */
  readonly gateRank?: number;
  /** Width of the short convolutions on queries, keys and values; 4 by default, 0 for none. */
  readonly convolution?: number;
  /** What acts on queries and keys at the end. @default nothing */
  readonly featureMap?: ActivationKind;
  /** The lowest log decay. @default there is none */
  readonly lowestLogDecay?: number;
  /** Whether the output is gated. @default true */
  readonly outputGate?: boolean;
  /** What the norm of each head adds to the mean square. @default 1e-5 */
  readonly normEpsilon?: number;
}

/** What checks it where it comes from a file. */
export const GLA: Schema<GlaConfiguration> = exactly<GlaConfiguration>({
  kind: oneOf(["gla"]),
  heads: HEADS,
  keyHeads: optional(HEADS),
  keyDim: SIZE,
  valueDim: SIZE,
  gateRank: optional(SIZE),
  convolution: optional(SIZE_OR_NONE),
  featureMap: optional(oneOf(ACTIVATION_KINDS)),
  lowestLogDecay: optional(NUMBER),
  outputGate: optional(FLAG),
  normEpsilon: optional(NOT_NEGATIVE),
});

/** The log decay is a log-sigmoid over this, so that it begins near 0. */
const GATE_NORMALIZER = 16;

/**
 * Gated linear attention (Yang et al. 2024, section 4.4): a decay for each key channel from a
 * low-rank projection, a norm for each head, an output gate.
 */
export function glaMixer(
  width: number,
  configuration: GlaConfiguration,
  outputGain: number,
): Mixer {
  const { heads, keyDim, valueDim, gateRank = 16, convolution: taps = 4 } = configuration;
  const { keyHeads = heads, featureMap, lowestLogDecay } = configuration;
  const { outputGate: gated = true, normEpsilon } = configuration;
  const keys = keyHeads * keyDim;
  const streams = [
    { name: "query", heads, dim: keyDim },
    { name: "key", heads: keyHeads, dim: keyDim },
    { name: "value", heads: keyHeads, dim: valueDim },
  ];
  return {
    parameters: [
      ...streamParameters(width, streams, taps),
      linear("decay.down.weight", gateRank, width),
      linear("decay.up.weight", keys, gateRank),
      free("decay.bias", [keys], constant(0)),
      ...readOutParameters(width, heads, valueDim, { gated, outputGain }),
    ],
    recordable: true,
    stateBytes: () => F32_BYTES * heads * keyDim * valueDim + streamBytes(streams, taps),
    mix(tape, parameters, x, state): Mixed {
      const [batch, time] = x.shape;
      const gate = outputGate(tape, parameters, x, { gated });
      const low = linearMap(tape, x, parameters("decay.down.weight"));
      const { outputs, tails } = runStreams(tape, parameters, x, streams, taps, state);
      const [query, key, value] = outputs;
      const decay = add(
        tape,
        linearMap(tape, low, parameters("decay.up.weight")),
        parameters("decay.bias"),
      );
      const unbounded = scale(tape, activation(tape, decay, "log_sigmoid"), 1 / GATE_NORMALIZER);
      const logDecay = clamp(tape, unbounded, { low: lowestLogDecay });
      const features = (x: Variable): Variable =>
        featureMap === undefined ? x : activation(tape, x, featureMap);
      const shared = (x: Variable): Variable => repeatHeads(tape, x, heads / keyHeads);
      const { output: read, finalState } = linearAttention(tape, {
        query: features(query),
        key: shared(features(key)),
        value: shared(value),
        logDecay: shared(reshape(tape, logDecay, [batch, time, keyHeads, keyDim])),
        state: state?.tensors.state,
      }, {});
      return {
        output: readOut(tape, parameters, read, { gate, normEpsilon }),
        state: {
          position: (state?.position ?? 0) + time,
          tensors: { ...tails, state: finalState },
        },
      };
    },
  };
}
