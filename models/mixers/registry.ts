import { type AttentionConfiguration, attentionMixer } from "./attention.ts";
import { type GlaConfiguration, glaMixer } from "./gla.ts";
import { type Mamba2Configuration, mamba2Mixer } from "./mamba2.ts";
import type { Mixer } from "./mixer.ts";
import { type RgLruConfiguration, rgLruMixer } from "./rg_lru.ts";

/** A mixer's configuration, by its kind. */
export type MixerConfiguration =
  | AttentionConfiguration
  | GlaConfiguration
  | Mamba2Configuration
  | RgLruConfiguration;

type MixerFactories = {
  [Kind in MixerConfiguration["kind"]]: (
    width: number,
    configuration: Extract<MixerConfiguration, { kind: Kind }>,
    outputGain: number,
  ) => Mixer;
};

const MIXERS: MixerFactories = {
  attention: attentionMixer,
  gla: glaMixer,
  mamba2: mamba2Mixer,
  rg_lru: rgLruMixer,
};

/**
 * The mixer that a configuration describes.
 *
 * @param outputGain Multiplies the deviation of the output projection's initial values.
 * @throws {RangeError} where the kind is unknown, with the known ones.
 */
export function createMixer(
  width: number,
  configuration: MixerConfiguration,
  outputGain: number,
): Mixer {
  const factory = MIXERS[configuration.kind] as
    | ((width: number, configuration: MixerConfiguration, outputGain: number) => Mixer)
    | undefined;
  if (factory === undefined) {
    throw new RangeError(
      `Cannot build a mixer of kind "${configuration.kind}": known kinds are ${
        Object.keys(MIXERS).join(", ")
      }`,
    );
  }
  return factory(width, configuration, outputGain);
}
