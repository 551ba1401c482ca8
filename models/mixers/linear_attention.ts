import { activation } from "../operations.ts";
import { linearAttention } from "../recurrences.ts";
import { exactly, HEADS, oneOf, type Schema, SIZE } from "../schema.ts";
import type { Tape, Variable } from "../tape.ts";
import { F32_BYTES, type Mixed, type Mixer } from "./mixer.ts";
import { readOut, readOutParameters, runStreams, streamParameters } from "./parts.ts";

/** Linear attention without a decay. */
export interface LinearAttentionConfiguration {
  /** Which mixer this is. */
  readonly kind: "linear_attention";
  /** Heads. */
  readonly heads: number;
  /** Size of a head's keys and queries. */
  readonly keyDim: number;
  /** Size of a head's values. */
  readonly valueDim: number;
}

/** What checks it where it comes from a file. */
export const LINEAR_ATTENTION: Schema<LinearAttentionConfiguration> = exactly<
  LinearAttentionConfiguration
>({
  kind: oneOf(["linear_attention"]),
  heads: HEADS,
  keyDim: SIZE,
  valueDim: SIZE,
});

/**
 * Linear attention (Katharopoulos et al. 2020, eq. 7) with the feature map elu(x) + 1. The paper's
 * denominator scales a head's output as a whole, so the norm for each head that follows takes it
 * away (Qin et al. 2022, section 3.1): it is not computed.
 */
export function linearAttentionMixer(
  width: number,
  configuration: LinearAttentionConfiguration,
  outputGain: number,
): Mixer {
  const { heads, keyDim, valueDim } = configuration;
  const streams = [
    { name: "query", heads, dim: keyDim },
    { name: "key", heads, dim: keyDim },
    { name: "value", heads, dim: valueDim },
  ];
  return {
    parameters: [
      ...streamParameters(width, streams, 0),
      ...readOutParameters(width, heads, valueDim, { gated: false, outputGain }),
    ],
    recordable: true,
    stateBytes: () => F32_BYTES * heads * keyDim * valueDim,
    mix(tape, parameters, x, state): Mixed {
      const [query, key, value] = runStreams(tape, parameters, x, streams, 0, state).outputs;
      const { output: read, finalState } = linearAttention(tape, {
        query: features(tape, query),
        key: features(tape, key),
        value,
        state: state?.tensors.state,
      }, {});
      return {
        output: readOut(tape, parameters, read),
        state: {
          position: (state?.position ?? 0) + x.shape[1],
          tensors: { state: finalState },
        },
      };
    },
  };
}

/** elu(x) + 1 = max(x, 0) + exp(min(x, 0)) > 0. */
function features(tape: Tape, x: Variable): Variable {
  return activation(tape, x, "elu_plus_one");
}
