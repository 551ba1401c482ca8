import { gatedActivation, linearMap } from "./operations.ts";
import { linear, type Parameters, type ParameterSpecification } from "./parameters.ts";
import type { Tape, Variable } from "./tape.ts";

/** What mixes the channels of one token: a gated multi-layer perceptron (Shazeer 2020). */
export interface ChannelMixerConfiguration {
  /** The gate's activation: SiLU or GELU. */
  readonly kind: "swiglu" | "geglu";
  /** Width between the two projections. */
  readonly hidden: number;
}

/** A channel mixer. */
export interface ChannelMixer {
  /** The parameters it needs. */
  readonly parameters: readonly ParameterSpecification[];
  /** `[batch, time, width] → [batch, time, width]`, each token on its own. */
  mix(tape: Tape, parameters: Parameters, x: Variable): Variable;
}

/** The channel mixer that a configuration describes. @throws {RangeError} where the kind is unknown. */
export function createChannelMixer(
  width: number,
  configuration: ChannelMixerConfiguration,
  outputGain: number,
): ChannelMixer {
  const { kind, hidden } = configuration;
  if (kind !== "swiglu" && kind !== "geglu") {
    throw new RangeError(
      `Cannot build a channel mixer of kind "${kind}": known kinds are swiglu, geglu`,
    );
  }
  const activation = kind === "swiglu" ? "silu" : "gelu";
  return {
    parameters: [
      linear("gate.weight", hidden, width),
      linear("up.weight", hidden, width),
      linear("down.weight", width, hidden, outputGain),
    ],
    mix(tape, parameters, x): Variable {
      const gate = linearMap(tape, x, parameters("gate.weight"));
      const up = linearMap(tape, x, parameters("up.weight"));
      const gated = gatedActivation(tape, gate, up, activation);
      return linearMap(tape, gated, parameters("down.weight"));
    },
  };
}
