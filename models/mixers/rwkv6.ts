import {
  activation,
  add,
  gatedActivation,
  linearMap,
  reshape,
  scale,
  split,
} from "../operations.ts";
import { free, fromUniform, type Initial, linear } from "../parameters.ts";
import { linearAttention, tokenShift } from "../recurrences.ts";
import { exactly, HEADS, NOT_NEGATIVE, oneOf, optional, type Schema, SIZE } from "../schema.ts";
import type { Variable } from "../tape.ts";
import { F32_BYTES, type Mixed, type Mixer } from "./mixer.ts";
import { headNorm, headNormParameters } from "./parts.ts";

/** RWKV-6's time mixing. */
export interface Rwkv6Configuration {
  /** Which mixer this is. */
  readonly kind: "rwkv6";
  /** Heads; heads × headDim is the inner width. */
  readonly heads: number;
  /** Size of a head's keys and values. */
  readonly headDim: number;
  /** Rank of the token shift's projections. @default 32 */
  readonly shiftRank?: number;
  /** Rank of the decay's projection. @default 64 */
  readonly decayRank?: number;
  /** What the norm of each head adds to the variance. @default 64e-5 */
  readonly normEpsilon?: number;
}

/** What checks it where it comes from a file. */
export const RWKV6: Schema<Rwkv6Configuration> = exactly<Rwkv6Configuration>({
  kind: oneOf(["rwkv6"]),
  heads: HEADS,
  headDim: SIZE,
  shiftRank: optional(SIZE),
  decayRank: optional(SIZE),
  normEpsilon: optional(NOT_NEGATIVE),
});

const STREAMS = ["decay", "key", "value", "receptance", "gate"] as const;
/** RWKV takes 1e-5 times the square of its head size divisor, 8. */
const NORM_EPSILON = 64e-5;

/**
 * RWKV-6, Finch (Peng et al. 2024, section 4): how far each stream moves toward the token before is
 * chosen by the input through a low rank; so is the decay, exp(−exp(w)); the bonus u weighs the
 * present token.
 */
export function rwkv6Mixer(
  width: number,
  configuration: Rwkv6Configuration,
  outputGain: number,
): Mixer {
  const { heads, headDim, shiftRank = 32, decayRank = 64, normEpsilon = NORM_EPSILON } =
    configuration;
  const inner = heads * headDim;
  return {
    parameters: [
      free("shift", [width], fromUniform(0, 1)),
      linear("shift.down.weight", STREAMS.length * shiftRank, width),
      ...STREAMS.flatMap((name) => [
        free(`${name}.shift`, [width], fromUniform(0, 1)),
        linear(`${name}.shift.up.weight`, width, shiftRank, 0.1),
      ]),
      free("decay.bias", [inner], spread(-6, -1)),
      linear("decay.down.weight", decayRank, width),
      linear("decay.up.weight", inner, decayRank, 0.1),
      free("bonus", [heads, headDim], fromUniform(0, 1)),
      linear("receptance.weight", inner, width),
      linear("key.weight", inner, width),
      linear("value.weight", inner, width),
      linear("gate.weight", inner, width),
      ...headNormParameters(heads, headDim),
      linear("output.weight", width, inner, outputGain),
    ],
    recordable: true,
    stateBytes: () => F32_BYTES * (heads * headDim * headDim + width),
    mix(tape, parameters, x, state): Mixed {
      const [batch, time] = x.shape;
      const shift = tokenShift(tape, x, state?.tensors.shift);
      const low = activation(
        tape,
        linearMap(tape, shift.toward([parameters("shift")])[0], parameters("shift.down.weight")),
        "tanh",
      );
      const amounts = split(tape, low, STREAMS.map(() => shiftRank));
      const [decayInput, keyInput, valueInput, receptanceInput, gateInput] = shift.toward(
        STREAMS.map((name, index) =>
          add(
            tape,
            linearMap(tape, amounts[index], parameters(`${name}.shift.up.weight`)),
            parameters(`${name}.shift`),
          )
        ),
      );
      const heads4 = (x: Variable): Variable => reshape(tape, x, [batch, time, heads, headDim]);
      const project = (x: Variable, name: string): Variable =>
        linearMap(tape, x, parameters(`${name}.weight`));
      const decay = add(
        tape,
        project(activation(tape, project(decayInput, "decay.down"), "tanh"), "decay.up"),
        parameters("decay.bias"),
      );
      const { output: read, finalState } = linearAttention(tape, {
        query: heads4(project(receptanceInput, "receptance")),
        key: heads4(project(keyInput, "key")),
        value: heads4(project(valueInput, "value")),
        logDecay: heads4(scale(tape, activation(tape, decay, "exp"), -1)),
        bonus: parameters("bonus"),
        state: state?.tensors.state,
      }, { scale: 1 });
      const normed = headNorm(tape, parameters, read, normEpsilon);
      const gated = gatedActivation(
        tape,
        project(gateInput, "gate"),
        reshape(tape, normed, [batch, time, inner]),
        "silu",
      );
      return {
        output: project(gated, "output"),
        state: {
          position: (state?.position ?? 0) + time,
          tensors: { shift: shift.state, state: finalState },
        },
      };
    },
  };
}

/** Evenly spaced values from `low` to `high`. */
export function spread(low: number, high: number): Initial {
  return (count) =>
    Float32Array.from(
      { length: count },
      (_, index) => low + (high - low) * index / Math.max(1, count - 1),
    );
}
