import { affine, affineParameters } from "./affine.ts";
import { didYouMean } from "./did_you_mean.ts";
import { activation, gatedActivation, linearMap, multiply } from "./operations.ts";
import {
  free,
  fromUniform,
  linear,
  type Parameters,
  type ParameterSpecification,
} from "./parameters.ts";
import { tokenShift } from "./recurrences.ts";
import { exactly, FLAG, oneOf, optional, type Schema, SIZE } from "./schema.ts";
import type { Tape, Variable } from "./tape.ts";

/** What mixes the channels of one token. */
export interface ChannelMixerConfiguration {
  /**
   * `swiglu`, `geglu`: a gated perceptron (Shazeer 2020); `relu_squared`: one without a gate (So et
   * al. 2021); `rwkv6`, `rwkv7`: a squared ReLU over the token and the one before it, RWKV-6's with a
   * receptance gate.
   */
  readonly kind: "swiglu" | "geglu" | "relu_squared" | "rwkv6" | "rwkv7";
  /** Width between the two projections. */
  readonly hidden: number;
  /** Whether a perceptron's projections have biases, RWKV's aside. @default false */
  readonly bias?: boolean;
}

/** What checks it where it comes from a file. */
export const CHANNEL_MIXER: Schema<ChannelMixerConfiguration> = exactly<ChannelMixerConfiguration>({
  kind: oneOf(["swiglu", "geglu", "relu_squared", "rwkv6", "rwkv7"]),
  hidden: SIZE,
  bias: optional(FLAG),
});

/** A channel mixer's output, and what it carries to the next segment. */
export interface ChannelMixed {
  /** `[batch, time, width]`. */
  readonly output: Variable;
  /** `[batch, 1, width]`, where it carries something. */
  readonly state?: Variable;
}

/** A channel mixer. */
export interface ChannelMixer {
  /** The parameters it needs. */
  readonly parameters: readonly ParameterSpecification[];
  /** Whether it carries the last token's input. */
  readonly carries: boolean;
  /** `[batch, time, width] → [batch, time, width]`, each token on its own or with the one before. */
  mix(tape: Tape, parameters: Parameters, x: Variable, state?: Variable): ChannelMixed;
}

type Factory = (
  width: number,
  configuration: ChannelMixerConfiguration,
  outputGain: number,
) => ChannelMixer;

const CHANNEL_MIXERS: Readonly<Record<ChannelMixerConfiguration["kind"], Factory>> = {
  swiglu: gated("silu"),
  geglu: gated("gelu"),
  relu_squared: ungated("relu_squared"),
  rwkv6: rwkv(true),
  rwkv7: rwkv(false),
};

/** The channel mixer that a configuration describes. @throws {RangeError} where the kind is unknown. */
export function createChannelMixer(
  width: number,
  configuration: ChannelMixerConfiguration,
  outputGain: number,
): ChannelMixer {
  const { kind } = configuration;
  const factory = CHANNEL_MIXERS[kind] as Factory | undefined;
  if (factory === undefined) {
    throw new RangeError(
      didYouMean("channel mixer", kind, Object.keys(CHANNEL_MIXERS)),
    );
  }
  return factory(width, configuration, outputGain);
}

function gated(kind: "silu" | "gelu"): Factory {
  return (width, { hidden, bias = false }, outputGain) => ({
    parameters: [
      ...affineParameters("gate", hidden, width, { bias }),
      ...affineParameters("up", hidden, width, { bias }),
      ...affineParameters("down", width, hidden, { bias, gain: outputGain }),
    ],
    carries: false,
    mix(tape, parameters, x): ChannelMixed {
      const gate = affine(tape, parameters, "gate", x, { bias });
      const up = affine(tape, parameters, "up", x, { bias });
      const mixed = gatedActivation(tape, gate, up, kind);
      return { output: affine(tape, parameters, "down", mixed, { bias }) };
    },
  });
}

function ungated(kind: "relu_squared"): Factory {
  return (width, { hidden, bias = false }, outputGain) => ({
    parameters: [
      ...affineParameters("up", hidden, width, { bias }),
      ...affineParameters("down", width, hidden, { bias, gain: outputGain }),
    ],
    carries: false,
    mix(tape, parameters, x): ChannelMixed {
      const mixed = activation(tape, affine(tape, parameters, "up", x, { bias }), kind);
      return { output: affine(tape, parameters, "down", mixed, { bias }) };
    },
  });
}

/** RWKV's channel mixing (Peng et al. 2024, eq. 23–26; Peng et al. 2025, section 4.2). */
function rwkv(receptance: boolean): Factory {
  const streams = receptance ? ["key", "receptance"] : ["key"];
  return (width, { hidden }, outputGain) => ({
    parameters: [
      ...streams.map((name) => free(`${name}.shift`, [width], fromUniform(0, 1))),
      linear("key.weight", hidden, width),
      ...(receptance ? [linear("receptance.weight", width, width)] : []),
      linear("value.weight", width, hidden, outputGain),
    ],
    carries: true,
    mix(tape, parameters, x, state): ChannelMixed {
      const shift = tokenShift(tape, x, state);
      const [keyInput, gateInput] = shift.toward(
        streams.map((name) => parameters(`${name}.shift`)),
      );
      const key = activation(
        tape,
        linearMap(tape, keyInput, parameters("key.weight")),
        "relu_squared",
      );
      const value = linearMap(tape, key, parameters("value.weight"));
      if (!receptance) return { output: value, state: shift.state };
      const gate = linearMap(tape, gateInput, parameters("receptance.weight"));
      const output = multiply(tape, activation(tape, gate, "sigmoid"), value);
      return { output, state: shift.state };
    },
  });
}
