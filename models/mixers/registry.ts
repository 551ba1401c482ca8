import { ATTENTION, type AttentionConfiguration, attentionMixer } from "./attention.ts";
import { DELTA_NET, type DeltaNetConfiguration, deltaNetMixer } from "./delta_net.ts";
import { GLA, type GlaConfiguration, glaMixer } from "./gla.ts";
import { HGRN, type HgrnConfiguration, hgrnMixer } from "./hgrn.ts";
import { HGRN2, type Hgrn2Configuration, hgrn2Mixer } from "./hgrn2.ts";
import { KDA, type KdaConfiguration, kdaMixer } from "./kda.ts";
import {
  LINEAR_ATTENTION,
  type LinearAttentionConfiguration,
  linearAttentionMixer,
} from "./linear_attention.ts";
import { MAMBA1, type Mamba1Configuration, mamba1Mixer } from "./mamba1.ts";
import { MAMBA2, type Mamba2Configuration, mamba2Mixer } from "./mamba2.ts";
import type { Mixer } from "./mixer.ts";
import { type ParallelConfiguration, parallelMixer } from "./parallel.ts";
import { RETNET, type RetNetConfiguration, retNetMixer } from "./retnet.ts";
import { RG_LRU, type RgLruConfiguration, rgLruMixer } from "./rg_lru.ts";
import { RWKV6, type Rwkv6Configuration, rwkv6Mixer } from "./rwkv6.ts";
import { RWKV7, type Rwkv7Configuration, rwkv7Mixer } from "./rwkv7.ts";
import {
  SHORT_CONVOLUTION,
  type ShortConvolutionConfiguration,
  shortConvolutionMixer,
} from "./short_convolution.ts";
import { byKind, exactly, listOf, oneOf, type Schema } from "../schema.ts";

/** A mixer's configuration, by its kind; none of several side by side. */
export type SingleMixerConfiguration =
  | AttentionConfiguration
  | DeltaNetConfiguration
  | GlaConfiguration
  | HgrnConfiguration
  | Hgrn2Configuration
  | KdaConfiguration
  | LinearAttentionConfiguration
  | Mamba1Configuration
  | Mamba2Configuration
  | RetNetConfiguration
  | RgLruConfiguration
  | Rwkv6Configuration
  | Rwkv7Configuration
  | ShortConvolutionConfiguration;

/** What mixes along the sequence in a layer: a mixer, or several side by side. */
export type MixerConfiguration = SingleMixerConfiguration | ParallelConfiguration;

const SINGLE_SCHEMAS = {
  attention: ATTENTION,
  delta_net: DELTA_NET,
  gated_delta_net: DELTA_NET,
  gla: GLA,
  hgrn: HGRN,
  hgrn2: HGRN2,
  kda: KDA,
  linear_attention: LINEAR_ATTENTION,
  mamba1: MAMBA1,
  mamba2: MAMBA2,
  retnet: RETNET,
  rg_lru: RG_LRU,
  rwkv6: RWKV6,
  rwkv7: RWKV7,
  short_convolution: SHORT_CONVOLUTION,
};

/** What checks a mixer's configuration where it comes from a file. */
export const MIXER: Schema<MixerConfiguration> = byKind<MixerConfiguration>({
  ...SINGLE_SCHEMAS,
  parallel: exactly<ParallelConfiguration>({
    kind: oneOf(["parallel"]),
    mixers: listOf(byKind<SingleMixerConfiguration>(SINGLE_SCHEMAS)),
  }),
});

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
  hgrn: hgrnMixer,
  hgrn2: hgrn2Mixer,
  kda: kdaMixer,
  linear_attention: linearAttentionMixer,
  mamba1: mamba1Mixer,
  mamba2: mamba2Mixer,
  parallel: (width, { mixers }, outputGain) => {
    const gain = outputGain / Math.sqrt(mixers.length);
    return parallelMixer(mixers.map((mixer) => createMixer(width, mixer, gain)));
  },
  retnet: retNetMixer,
  rg_lru: rgLruMixer,
  rwkv6: rwkv6Mixer,
  rwkv7: rwkv7Mixer,
  short_convolution: shortConvolutionMixer,
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
