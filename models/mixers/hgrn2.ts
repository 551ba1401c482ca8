import { activation, linearAttention, scale } from "../operations.ts";
import { F32_BYTES, type Mixed, type Mixer } from "./mixer.ts";
import { readOut, readOutParameters, runStreams, streamParameters } from "./parts.ts";

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
}

/**
 * HGRN2 (Qin et al. 2024, section 3.2): the forget gate f is the decay and 1 − f the key,
 * `S_t = Diag(f_t) S_{t−1} + (1 − f_t) v_tᵀ`, `o_t = q_t S_t`.
 */
export function hgrn2Mixer(
  width: number,
  configuration: Hgrn2Configuration,
  outputGain: number,
): Mixer {
  const { heads, expansion, valueDim } = configuration;
  const streams = [
    { name: "query", heads, dim: expansion },
    { name: "forget", heads, dim: expansion },
    { name: "value", heads, dim: valueDim },
  ];
  return {
    parameters: [
      ...streamParameters(width, streams, 0),
      ...readOutParameters(width, heads, valueDim, { gated: false, outputGain }),
    ],
    stateBytes: () => F32_BYTES * heads * expansion * valueDim,
    mix(tape, parameters, x, state): Mixed {
      const [query, forget, value] = runStreams(tape, parameters, x, streams, 0, state).outputs;
      const { output: read, finalState } = linearAttention(tape, {
        query: activation(tape, query, "silu"),
        // 1 − sigmoid(x) = sigmoid(−x), without the cancellation.
        key: activation(tape, scale(tape, forget, -1), "sigmoid"),
        value,
        logDecay: activation(tape, forget, "log_sigmoid"),
        state: state?.tensors.state,
      }, { scale: 1 });
      return {
        output: readOut(tape, parameters, x, read, { gated: false }),
        state: {
          position: (state?.position ?? 0) + x.shape[1],
          tensors: { state: finalState },
        },
      };
    },
  };
}
