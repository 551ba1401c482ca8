import { type AttentionConfiguration, attentionMixer } from "./attention.ts";
import { type DeltaNetConfiguration, deltaNetMixer } from "./delta_net.ts";
import { type GlaConfiguration, glaMixer } from "./gla.ts";
import { type Hgrn2Configuration, hgrn2Mixer } from "./hgrn2.ts";
import { type LinearAttentionConfiguration, linearAttentionMixer } from "./linear_attention.ts";
import { type Mamba1Configuration, mamba1Mixer } from "./mamba1.ts";
import { type Mamba2Configuration, mamba2Mixer } from "./mamba2.ts";
import type { Mixer } from "./mixer.ts";
import { type RetNetConfiguration, retNetMixer } from "./retnet.ts";
import { type RgLruConfiguration, rgLruMixer } from "./rg_lru.ts";
import { type Rwkv6Configuration, rwkv6Mixer } from "./rwkv6.ts";
import { type Rwkv7Configuration, rwkv7Mixer } from "./rwkv7.ts";

/** A mixer's configuration, by its kind. */
export type MixerConfiguration =
  | AttentionConfiguration
  | DeltaNetConfiguration
  | GlaConfiguration
  | Hgrn2Configuration
  | LinearAttentionConfiguration
  | Mamba1Configuration
  | Mamba2Configuration
  | RetNetConfiguration
  | RgLruConfiguration
  | Rwkv6Configuration
  | Rwkv7Configuration;

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
  mamba1: mamba1Mixer,
  mamba2: mamba2Mixer,
  retnet: retNetMixer,
  rg_lru: rgLruMixer,
  rwkv6: rwkv6Mixer,
  rwkv7: rwkv7Mixer,
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
