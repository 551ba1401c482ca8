import { type AttentionConfiguration, attentionMixer } from "./attention.ts";
import { type DeltaNetConfiguration, deltaNetMixer } from "./delta_net.ts";
import { type GlaConfiguration, glaMixer } from "./gla.ts";
import { type Hgrn2Configuration, hgrn2Mixer } from "./hgrn2.ts";
import { type LinearAttentionConfiguration, linearAttentionMixer } from "./linear_attention.ts";
import { type Mamba2Configuration, mamba2Mixer } from "./mamba2.ts";
import type { Mixer } from "./mixer.ts";
import { type RetNetConfiguration, retNetMixer } from "./retnet.ts";
import { type RgLruConfiguration, rgLruMixer } from "./rg_lru.ts";

/** A mixer's configuration, by its kind. */
export type MixerConfiguration =
  | AttentionConfiguration
  | DeltaNetConfiguration
  | GlaConfiguration
  | Hgrn2Configuration
  | LinearAttentionConfiguration
  | Mamba2Configuration
  | RetNetConfiguration
  | RgLruConfiguration;

type MixerFactories = {
  [Kind in MixerConfiguration["kind"]]: (
    width: number,
    configuration: MixerConfiguration & { readonly kind: Kind },
    outputGain: number,
  ) => Mixer;
};

const MIXERS: MixerFactories = {
  attention: attentionMixer,
  delta_net: deltaNetMixer,
  gated_delta_net: deltaNetMixer,
  gla: glaMixer,
  hgrn2: hgrn2Mixer,
  linear_attention: linearAttentionMixer,
  mamba2: mamba2Mixer,
  retnet: retNetMixer,
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
