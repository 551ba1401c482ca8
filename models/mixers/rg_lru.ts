import { affine, affineParameters } from "../affine.ts";
import { concatenate, gatedActivation, split } from "../operations.ts";
import { constant, free, fromUniform, normal } from "../parameters.ts";
import { convolution, rgLru } from "../recurrences.ts";
import { exactly, FLAG, HEADS, oneOf, optional, type Schema, SIZE } from "../schema.ts";
import type { Variable } from "../tape.ts";
import { F32_BYTES, type Mixed, type Mixer } from "./mixer.ts";

/** Griffin's recurrent block. */
export interface RgLruConfiguration {
  /** Which mixer this is. */
  readonly kind: "rg_lru";
  /** Channels of the recurrence. */
  readonly recurrentWidth: number;
  /** Width of the short convolution. @default 4 */
  readonly convolution?: number;
  /** Whether the projections in and out have biases. @default false */
  readonly bias?: boolean;
  /**
   * Runs of channels whose gates see no other channels (block-diagonal gates), each with parameters
   * of its own; left out, every gate sees all.
   */
  readonly gateBlocks?: number;
  /**
   * Whether a sequence's first input is taken whole, without √(1 − a²), as in RecurrentGemma; false
   * by default.
   */
  readonly resetFirst?: boolean;
}

/** What checks it where it comes from a file. */
export const RG_LRU: Schema<RgLruConfiguration> = exactly<RgLruConfiguration>({
  kind: oneOf(["rg_lru"]),
  recurrentWidth: SIZE,
  convolution: optional(SIZE),
  bias: optional(FLAG),
  gateBlocks: optional(HEADS),
  resetFirst: optional(FLAG),
});

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
  const { bias = false, gateBlocks, resetFirst = false } = configuration;
  const blocks = gateBlocks ?? 1;
  const blockWidth = recurrentWidth / blocks;
  /** A gate's linear maps: one, or one per block. */
  const mapsOf = (gate: string): string[] =>
    gateBlocks === undefined
      ? [gate]
      : Array.from({ length: blocks }, (_, block) => `${gate}.${block}`);
  return {
    parameters: [
      ...affineParameters("input", recurrentWidth, width, { bias }),
      ...affineParameters("gate", recurrentWidth, width, { bias }),
      free("convolution.weight", [recurrentWidth, taps], normal(1 / Math.sqrt(taps))),
      free("convolution.bias", [recurrentWidth], constant(0)),
      ...[...mapsOf("recurrence_gate"), ...mapsOf("input_gate")].flatMap((name) =>
        affineParameters(name, blockWidth, blockWidth, { bias: true })
      ),
      free(
        "decay",
        [recurrentWidth],
        // Λ such that the decay at a full gate, exp(−c softplus(Λ)), is uniform in 0.9–0.999.
        fromUniform(0.9, 0.999, (a) => Math.log(Math.expm1(-Math.log(a) / GATE_SCALE))),
      ),
      ...affineParameters("output", width, recurrentWidth, { bias, gain: outputGain }),
    ],
    recordable: true,
    stateBytes: () => F32_BYTES * recurrentWidth * taps,
    mix(tape, parameters, x, state): Mixed {
      const gate = affine(tape, parameters, "gate", x, { bias });
      const { output: input, finalState: tail } = convolution(tape, {
        x: affine(tape, parameters, "input", x, { bias }),
        weight: parameters("convolution.weight"),
        bias: parameters("convolution.bias"),
        tail: state?.tensors.tail,
      }, "none");
      const parts = blocks === 1 ? [input] : split(tape, input, Array(blocks).fill(blockWidth));
      const gateOf = (name: string): Variable => {
        const gates = mapsOf(name).map((map, block) =>
          affine(tape, parameters, map, parts[block], { bias: true })
        );
        return blocks === 1 ? gates[0] : concatenate(tape, gates);
      };
      const { output: read, finalState } = rgLru(tape, {
        input,
        recurrenceGate: gateOf("recurrence_gate"),
        inputGate: gateOf("input_gate"),
        decayParameter: parameters("decay"),
        state: state?.tensors.state,
      }, { resetFirst: resetFirst && state === undefined });
      const gated = gatedActivation(tape, gate, read, "gelu");
      return {
        output: affine(tape, parameters, "output", gated, { bias }),
        state: {
          position: (state?.position ?? 0) + x.shape[1],
          tensors: { tail, state: finalState },
        },
      };
    },
  };
}
