import { add, convolution, gatedActivation, linearMap, rgLru } from "../operations.ts";
import { constant, free, fromUniform, linear, normal } from "../parameters.ts";
import { F32_BYTES, type Mixed, type Mixer } from "./mixer.ts";

/** Griffin's recurrent block. */
export interface RgLruConfiguration {
  /** Which mixer this is. */
  readonly kind: "rg_lru";
  /** Channels of the recurrence. */
  readonly recurrentWidth: number;
  /** Width of the short convolution; 4 unless told. */
  readonly convolution?: number;
}

/** The exponent's constant c of the paper. */
const GATE_SCALE = 8;

/**
 * Griffin's recurrent block (De et al. 2024, section 2.3 and 2.4): a branch of convolution and
 * real-gated linear recurrent unit, times a GELU branch.
 */
export function rgLruMixer(
  width: number,
  configuration: RgLruConfiguration,
  outputGain: number,
): Mixer {
  const { recurrentWidth, convolution: taps = 4 } = configuration;
  return {
    parameters: [
      linear("input.weight", recurrentWidth, width),
      linear("gate.weight", recurrentWidth, width),
      free("convolution.weight", [recurrentWidth, taps], normal(1 / Math.sqrt(taps))),
      free("convolution.bias", [recurrentWidth], constant(0)),
      linear("recurrence_gate.weight", recurrentWidth, recurrentWidth),
      free("recurrence_gate.bias", [recurrentWidth], constant(0)),
      linear("input_gate.weight", recurrentWidth, recurrentWidth),
      free("input_gate.bias", [recurrentWidth], constant(0)),
      free(
        "decay",
        [recurrentWidth],
        // Λ such that the decay at a full gate, exp(−c softplus(Λ)), is uniform in 0.9–0.999.
        fromUniform(0.9, 0.999, (a) => Math.log(Math.expm1(-Math.log(a) / GATE_SCALE))),
      ),
      linear("output.weight", width, recurrentWidth, outputGain),
    ],
    stateBytes: () => F32_BYTES * recurrentWidth * taps,
    mix(tape, parameters, x, state): Mixed {
      const gate = linearMap(tape, x, parameters("gate.weight"));
      const { output: input, finalState: tail } = convolution(tape, {
        x: linearMap(tape, x, parameters("input.weight")),
        weight: parameters("convolution.weight"),
        bias: parameters("convolution.bias"),
        tail: state?.tensors.tail,
      }, "none");
      const gateOf = (name: string) =>
        add(
          tape,
          linearMap(tape, input, parameters(`${name}.weight`)),
          parameters(`${name}.bias`),
        );
      const { output: read, finalState } = rgLru(tape, {
        input,
        recurrenceGate: gateOf("recurrence_gate"),
        inputGate: gateOf("input_gate"),
        decayParameter: parameters("decay"),
        state: state?.tensors.state,
      });
      return {
        output: linearMap(
          tape,
          gatedActivation(tape, gate, read, "gelu"),
          parameters("output.weight"),
        ),
        state: {
          position: (state?.position ?? 0) + x.shape[1],
          tensors: { tail, state: finalState },
        },
      };
    },
  };
}
