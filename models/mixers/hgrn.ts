import {
  activation,
  gatedActivation,
  linearMap,
  multiply,
  reshape,
  rmsNorm,
} from "../operations.ts";
import { constant, free, linear } from "../parameters.ts";
import { scan } from "../recurrences.ts";
import { F32_BYTES, type Mixed, type Mixer } from "./mixer.ts";
import { forgetGates, runStreams, type Stream, streamBytes, streamParameters } from "./parts.ts";
import {
  exactly,
  FLAG,
  NOT_NEGATIVE,
  oneOf,
  optional,
  type Schema,
  SIZE,
  SIZE_OR_NONE,
} from "../schema.ts";

/** HGRN's gated linear RNN. */
export interface HgrnConfiguration {
  /** Which mixer this is. */
  readonly kind: "hgrn";
  /** Channels of the recurrence. */
  readonly channels: number;
  /** Width of the short convolutions on inputs and forget gates; 0 for none. @default 0 */
  readonly convolution?: number;
  /** Whether each channel's forget gate has a lower bound, `sigmoid(forget.bound)`. @default false */
  readonly bounded?: boolean;
  /** What the norm before the output's gate adds to the mean square. @default 1e-5 */
  readonly normEpsilon?: number;
}

/** What checks it where it comes from a file. */
export const HGRN: Schema<HgrnConfiguration> = exactly<HgrnConfiguration>({
  kind: oneOf(["hgrn"]),
  channels: SIZE,
  convolution: optional(SIZE_OR_NONE),
  bounded: optional(FLAG),
  normEpsilon: optional(NOT_NEGATIVE),
});

const NORM_EPSILON = 1e-5;
/** Bounds begin near 0.02. */
const BOUND_START = -4;

/**
 * HGRN (Qin et al. 2023, section 3.2, with real states): `h_t = f_t h_{t−1} + (1 − f_t) silu(i_t)`, f
 * from a sigmoid that may have a lower bound; a norm, and a SiLU gate on the output.
 */
export function hgrnMixer(
  width: number,
  configuration: HgrnConfiguration,
  outputGain: number,
): Mixer {
  const { channels, convolution: taps = 0, bounded = false } = configuration;
  const { normEpsilon = NORM_EPSILON } = configuration;
  const streams: Stream[] = [
    { name: "input", heads: 1, dim: channels, activation: "none" },
    { name: "forget", heads: 1, dim: channels, activation: "none" },
  ];
  return {
    parameters: [
      ...streamParameters(width, streams, taps),
      ...(bounded ? [free("forget.bound", [channels], constant(BOUND_START))] : []),
      linear("gate.weight", channels, width),
      free("norm.weight", [channels], constant(1)),
      linear("output.weight", width, channels, outputGain),
    ],
    recordable: true,
    stateBytes: () => F32_BYTES * channels + streamBytes(streams, taps),
    mix(tape, parameters, x, state): Mixed {
      const [batch, time] = x.shape;
      const gate = linearMap(tape, x, parameters("gate.weight"));
      const { outputs, tails } = runStreams(tape, parameters, x, streams, taps, state);
      const [input, forget] = outputs.map((stream) =>
        reshape(tape, stream, [batch, time, channels])
      );
      const { complement, logDecay } = forgetGates(
        tape,
        forget,
        bounded ? parameters("forget.bound") : undefined,
      );
      const { output, finalState } = scan(tape, {
        decay: activation(tape, logDecay, "exp"),
        input: multiply(tape, activation(tape, input, "silu"), complement),
        state: state?.tensors.state,
      });
      const normed = rmsNorm(tape, output, parameters("norm.weight"), normEpsilon);
      const read = gatedActivation(tape, gate, normed, "silu");
      return {
        output: linearMap(tape, read, parameters("output.weight")),
        state: {
          position: (state?.position ?? 0) + time,
          tensors: { ...tails, state: finalState },
        },
      };
    },
  };
}
