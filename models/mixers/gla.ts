import {
  activation,
  add,
  convolution,
  gatedActivation,
  linearAttention,
  linearMap,
  reshape,
  rmsNorm,
  scale,
} from "../operations.ts";
import { constant, free, linear, normal } from "../parameters.ts";
import type { Variable } from "../tape.ts";
import { F32_BYTES, type Mixer } from "./mixer.ts";

/** Gated linear attention. */
export interface GlaConfiguration {
  /** Which mixer this is. */
  readonly kind: "gla";
  /** Heads. */
  readonly heads: number;
  /** Size of a head's keys and queries. */
  readonly keyDim: number;
  /** Size of a head's values. */
  readonly valueDim: number;
  /** Rank of the decay's projection; 16 unless told. */
  readonly gateRank?: number;
  /** Width of the short convolutions on queries, keys and values; 4 unless told, 0 for none. */
  readonly convolution?: number;
}

/** The log decay is a log-sigmoid over this, so that it begins near 1. */
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
  const keys = heads * keyDim;
  const values = heads * valueDim;
  const streams = [["query", keys], ["key", keys], ["value", values]] as const;
  return {
    parameters: [
      ...streams.map(([name, channels]) => linear(`${name}.weight`, channels, width)),
      ...(taps === 0 ? [] : streams.map(([name, channels]) =>
        free(`${name}_convolution.weight`, [channels, taps], normal(1 / Math.sqrt(taps)))
      )),
      linear("decay.down.weight", gateRank, width),
      linear("decay.up.weight", keys, gateRank),
      free("decay.bias", [keys], constant(0)),
      linear("gate.weight", values, width),
      free("norm.weight", [valueDim], constant(1)),
      linear("output.weight", width, values, outputGain),
    ],
    stateBytes: () =>
      F32_BYTES * (keys * valueDim + Math.max(0, taps - 1) * (2 * keys + values)),
    mix(tape, parameters, x, state) {
      const [batch, time] = x.shape;
      const tensors: Record<string, Variable> = {};
      const stream = (name: string): Variable => {
        const projected = linearMap(tape, x, parameters(`${name}.weight`));
        if (taps === 0) return projected;
        const { output, finalState } = convolution(tape, {
          x: projected,
          weight: parameters(`${name}_convolution.weight`),
          tail: state?.tensors[`${name}Tail`],
        }, "silu");
        tensors[`${name}Tail`] = finalState;
        return output;
      };
      const [query, key, value] = streams.map(([name]) => stream(name));
      const low = linearMap(tape, x, parameters("decay.down.weight"));
      const gate = add(
        tape,
        linearMap(tape, low, parameters("decay.up.weight")),
        parameters("decay.bias"),
      );
      const logDecay = scale(tape, activation(tape, gate, "log_sigmoid"), 1 / GATE_NORMALIZER);
      const { output: read, finalState } = linearAttention(tape, {
        query: reshape(tape, query, [batch, time, heads, keyDim]),
        key: reshape(tape, key, [batch, time, heads, keyDim]),
        value: reshape(tape, value, [batch, time, heads, valueDim]),
        logDecay: reshape(tape, logDecay, [batch, time, heads, keyDim]),
        state: state?.tensors.state,
      }, {});
      tensors.state = finalState;
      const normed = reshape(tape, rmsNorm(tape, read, parameters("norm.weight"), 1e-5), [
        batch,
        time,
        values,
      ]);
      const gated = gatedActivation(
        tape,
        linearMap(tape, x, parameters("gate.weight")),
        normed,
        "silu",
      );
      return {
        output: linearMap(tape, gated, parameters("output.weight")),
        state: { position: (state?.position ?? 0) + time, tensors },
      };
    },
  };
}
