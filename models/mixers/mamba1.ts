import { affine, affineParameters } from "../affine.ts";
import { linearMap, split } from "../operations.ts";
import { constant, free, type Initial, linear, LOG_UNIFORM_STEP, normal } from "../parameters.ts";
import { convolution, selectiveScan } from "../recurrences.ts";
import { F32_BYTES, type Mixed, type Mixer } from "./mixer.ts";
import { forgettingRates, unitSquare } from "./parts.ts";
import { exactly, FLAG, NOT_NEGATIVE, oneOf, optional, type Schema, SIZE } from "../schema.ts";

/** Mamba's selective state-space layer. */
export interface Mamba1Configuration {
  /** Which mixer this is. */
  readonly kind: "mamba1";
  /** Channels of the recurrence. */
  readonly inner: number;
  /** Size of each channel's state. */
  readonly stateDim: number;
  /** Rank of Δ's projection. @default width / 16, rounded up, */
  readonly stepRank?: number;
  /** Width of the short convolution. @default 4 */
  readonly convolution?: number;
  /** Whether the convolution has a bias. @default true */
  readonly convolutionBias?: boolean;
  /** Whether the projections in and out have biases. @default false */
  readonly bias?: boolean;
  /**
   * What an RMS norm without weights, on what Δ is projected from and on B and C, adds to the mean
   * square (Falcon Mamba). @default no norm
   */
  readonly selectionEpsilon?: number;
}

/** What checks it where it comes from a file. */
export const MAMBA1: Schema<Mamba1Configuration> = exactly<Mamba1Configuration>({
  kind: oneOf(["mamba1"]),
  inner: SIZE,
  stateDim: SIZE,
  stepRank: optional(SIZE),
  convolution: optional(SIZE),
  convolutionBias: optional(FLAG),
  bias: optional(FLAG),
  selectionEpsilon: optional(NOT_NEGATIVE),
});

/**
 * Mamba (Gu & Dao 2023, section 3.4): input and gate, a short convolution, Δ, B and C from its
 * output, the selective scan.
 */
export function mamba1Mixer(
  width: number,
  configuration: Mamba1Configuration,
  outputGain: number,
): Mixer {
  const { inner, stateDim, convolution: taps = 4 } = configuration;
  const { convolutionBias = true, bias = false, selectionEpsilon } = configuration;
  const rank = configuration.stepRank ?? Math.ceil(width / 16);
  // A = −1, −2, … for the states of each channel (S4D-real).
  const rates: Initial = (count) =>
    Float32Array.from({ length: count }, (_, index) => Math.log(1 + index % stateDim));
  return {
    parameters: [
      ...affineParameters("input", 2 * inner, width, { bias }),
      free("convolution.weight", [inner, taps], normal(1 / Math.sqrt(taps))),
      ...(convolutionBias ? [free("convolution.bias", [inner], constant(0))] : []),
      linear("select.weight", rank + 2 * stateDim, inner),
      linear("step.weight", inner, rank),
      free("step.bias", [inner], LOG_UNIFORM_STEP),
      free("decay", [inner, stateDim], rates),
      free("skip", [inner], constant(1)),
      ...affineParameters("output", width, inner, { bias, gain: outputGain }),
    ],
    recordable: true,
    stateBytes: () => F32_BYTES * inner * (stateDim + taps - 1),
    mix(tape, parameters, x, state): Mixed {
      const [projected, gate] = split(
        tape,
        affine(tape, parameters, "input", x, { bias }),
        [inner, inner],
      );
      const { output: input, finalState: tail } = convolution(tape, {
        x: projected,
        weight: parameters("convolution.weight"),
        bias: convolutionBias ? parameters("convolution.bias") : undefined,
        tail: state?.tensors.tail,
      }, "silu");
      const selected = linearMap(tape, input, parameters("select.weight"));
      const [step, b, c] = split(tape, selected, [rank, stateDim, stateDim])
        .map((part) =>
          selectionEpsilon === undefined ? part : unitSquare(tape, part, selectionEpsilon)
        );
      const { output: read, finalState } = selectiveScan(tape, {
        input,
        delta: linearMap(tape, step, parameters("step.weight")),
        a: forgettingRates(tape, parameters("decay")),
        b,
        c,
        skip: parameters("skip"),
        gate,
        deltaBias: parameters("step.bias"),
        state: state?.tensors.state,
      });
      return {
        output: affine(tape, parameters, "output", read, { bias }),
        state: {
          position: (state?.position ?? 0) + x.shape[1],
          tensors: { tail, state: finalState },
        },
      };
    },
  };
}
