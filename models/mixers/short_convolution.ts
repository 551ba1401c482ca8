import { affine, affineParameters } from "../affine.ts";
import { multiply, split } from "../operations.ts";
import { constant, free, normal } from "../parameters.ts";
import { convolution } from "../recurrences.ts";
import { F32_BYTES, type Mixed, type Mixer } from "./mixer.ts";
import { exactly, FLAG, oneOf, optional, type Schema, SIZE } from "../schema.ts";

/** A gated short convolution. */
export interface ShortConvolutionConfiguration {
  /** Which mixer this is. */
  readonly kind: "short_convolution";
  /** How many tokens it sees, the current one included. @default 3 */
  readonly convolution?: number;
  /** Whether the projections and the convolution have biases. @default false */
  readonly bias?: boolean;
}

/** What checks it where it comes from a file. */
export const SHORT_CONVOLUTION: Schema<ShortConvolutionConfiguration> = exactly<
  ShortConvolutionConfiguration
>({
  kind: oneOf(["short_convolution"]),
  convolution: optional(SIZE),
  bias: optional(FLAG),
});

/**
 * The gated short convolution of LFM2 (Liquid AI 2025, section 2): with B, C and x from one projection,
 * `y = C * convolution(B * x)`, and a projection out.
 */
export function shortConvolutionMixer(
  width: number,
  configuration: ShortConvolutionConfiguration,
  outputGain: number,
): Mixer {
  const { convolution: taps = 3, bias = false } = configuration;
  return {
    parameters: [
      ...affineParameters("input", 3 * width, width, { bias }),
      free("convolution.weight", [width, taps], normal(1 / Math.sqrt(taps))),
      ...(bias ? [free("convolution.bias", [width], constant(0))] : []),
      ...affineParameters("output", width, width, { bias, gain: outputGain }),
    ],
    recordable: true,
    stateBytes: () => F32_BYTES * width * (taps - 1),
    mix(tape, parameters, x, state): Mixed {
      const projected = affine(tape, parameters, "input", x, { bias });
      const [b, c, input] = split(tape, projected, [width, width, width]);
      const { output: convolved, finalState: tail } = convolution(tape, {
        x: multiply(tape, b, input),
        weight: parameters("convolution.weight"),
        bias: bias ? parameters("convolution.bias") : undefined,
        tail: state?.tensors.tail,
      }, "none");
      return {
        output: affine(tape, parameters, "output", multiply(tape, c, convolved), { bias }),
        state: { position: (state?.position ?? 0) + x.shape[1], tensors: { tail } },
      };
    },
  };
}
