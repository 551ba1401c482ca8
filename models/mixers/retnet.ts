import { add, linearAttention, rotary } from "../operations.ts";
import { Variable } from "../tape.ts";
import { rotaryTable } from "./attention.ts";
import { F32_BYTES, type Mixed, type Mixer } from "./mixer.ts";
import { readOut, readOutParameters, runStreams, streamParameters } from "./parts.ts";

/** Retention. */
export interface RetNetConfiguration {
  /** Which mixer this is. */
  readonly kind: "retnet";
  /** Heads. */
  readonly heads: number;
  /** Size of a head's keys and queries. */
  readonly keyDim: number;
  /** Size of a head's values. */
  readonly valueDim: number;
}

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
  const streams = [
    { name: "query", heads, dim: keyDim },
    { name: "key", heads, dim: keyDim },
    { name: "value", heads, dim: valueDim },
  ];
  const logDecays = Float32Array.from(
    { length: heads },
    (_, head) => Math.log1p(-(2 ** (-5 - head))),
  );
  return {
    parameters: [
      ...streamParameters(width, streams, 0),
      ...readOutParameters(width, heads, valueDim, { gated: true, outputGain }),
    ],
    stateBytes: () => F32_BYTES * heads * keyDim * valueDim,
    mix(tape, parameters, x, state): Mixed {
      const [batch, time] = x.shape;
      const position = state?.position ?? 0;
      const [query, key, value] = runStreams(tape, parameters, x, streams, 0, state).outputs;
      const frequencies = rotaryTable(tape, { dim: keyDim, base: ROTARY_BASE });
      const zeros = new Variable(tape.own(tape.gpu.tensor([batch, time, heads])));
      const rates = new Variable(tape.own(tape.gpu.tensor([heads], logDecays)));
      const { output: read, finalState } = linearAttention(tape, {
        query: rotary(tape, query, frequencies, position),
        key: rotary(tape, key, frequencies, position),
        value,
        logDecay: add(tape, zeros, rates),
        state: state?.tensors.state,
      }, {});
      return {
        output: readOut(tape, parameters, x, read, { gated: true }),
        state: { position: position + time, tensors: { state: finalState } },
      };
    },
  };
}
