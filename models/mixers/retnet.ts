import { ACTIVATION_KINDS, type ActivationKind } from "../../kernels/activation/mod.ts";
import { add, rotary } from "../operations.ts";
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
} from "../schema.ts";
import { table } from "../tables.ts";
import { Variable } from "../tape.ts";
import { rotaryTable } from "./attention.ts";
import { F32_BYTES, type Mixed, type Mixer } from "./mixer.ts";
import {
  outputGate,
  readOut,
  readOutParameters,
  repeatHeads,
  runStreams,
  type Stream,
  streamParameters,
} from "./parts.ts";

/** Retention. */
export interface RetNetConfiguration {
  /** Which mixer this is. */
  readonly kind: "retnet";
  /** Heads of queries; each has a state. */
  readonly heads: number;
  /** Heads of keys and values, which divide the heads. @default as many */
  readonly keyHeads?: number;
  /** Size of a head's keys and queries. */
  readonly keyDim: number;
  /** Size of a head's values. */
  readonly valueDim: number;
  /** What acts on queries and keys before they turn. @default nothing */
  readonly featureMap?: ActivationKind;
  /** Whether the output is gated. @default true */
  readonly outputGate?: boolean;
  /** What the norm of each head adds to the mean square. @default 1e-5 */
  readonly normEpsilon?: number;
}

/** What checks it where it comes from a file. */
export const RETNET: Schema<RetNetConfiguration> = exactly<RetNetConfiguration>({
  kind: oneOf(["retnet"]),
  heads: HEADS,
  keyHeads: optional(HEADS),
  keyDim: SIZE,
  valueDim: SIZE,
  featureMap: optional(oneOf(ACTIVATION_KINDS)),
  outputGate: optional(FLAG),
  normEpsilon: optional(NOT_NEGATIVE),
});

const ROTARY_BASE = 10_000;

/**
 * Retention (Sun et al. 2023, section 2): rotary queries and keys, and a decay that is fixed for
 * each head, γ = 1 − 2^(−5 − head); a norm for each head and an output gate.
 */
export function retNetMixer(
  width: number,
  configuration: RetNetConfiguration,
  outputGain: number,
): Mixer {
  const { heads, keyDim, valueDim } = configuration;
  const { keyHeads = heads, featureMap, outputGate: gated = true, normEpsilon } = configuration;
  const streams: Stream[] = [
    { name: "query", heads, dim: keyDim, activation: featureMap },
    { name: "key", heads: keyHeads, dim: keyDim, activation: featureMap },
    { name: "value", heads: keyHeads, dim: valueDim },
  ];
  const logDecayOf = (head: number): number => Math.log1p(-(2 ** (-5 - head)));
  return {
    parameters: [
      ...streamParameters(width, streams, 0),
      ...readOutParameters(width, heads, valueDim, { gated, outputGain }),
    ],
    recordable: true,
    stateBytes: () => F32_BYTES * heads * keyDim * valueDim,
    mix(tape, parameters, x, state): Mixed {
      const [batch, time] = x.shape;
      const position = state?.position ?? 0;
      const place = state?.place ?? position;
      const gate = outputGate(tape, parameters, x, { gated });
      const [query, key, value] = runStreams(tape, parameters, x, streams, 0, state).outputs;
      const frequencies = rotaryTable(tape, { dim: keyDim, base: ROTARY_BASE });
      const zeros = new Variable(tape.own(tape.gpu.tensor([batch, time, heads])));
      const rates = table(tape.gpu, `RetNet ${heads}`, [heads], logDecayOf);
      const shared = (x: Variable): Variable => repeatHeads(tape, x, heads / keyHeads);
      const turned = rotary(tape, { query, key }, frequencies, place);
      const { output: read, finalState } = linearAttention(tape, {
        query: turned.query,
        key: shared(turned.key),
        value: shared(value),
        logDecay: add(tape, zeros, rates),
        state: state?.tensors.state,
      }, {});
      return {
        output: readOut(tape, parameters, read, { gate, normEpsilon }),
        state: { position: position + time, tensors: { state: finalState } },
      };
    },
  };
}
