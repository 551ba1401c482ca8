import type { AttentionConfiguration } from "./attention.ts";
import type { DeltaNetConfiguration } from "./delta_net.ts";
import type { GlaConfiguration } from "./gla.ts";
import type { HgrnConfiguration } from "./hgrn.ts";
import type { Hgrn2Configuration } from "./hgrn2.ts";
import type { KdaConfiguration } from "./kda.ts";
import type { LinearAttentionConfiguration } from "./linear_attention.ts";
import type { Mamba1Configuration } from "./mamba1.ts";
import type { Mamba2Configuration } from "./mamba2.ts";
import type { RetNetConfiguration } from "./retnet.ts";
import type { RgLruConfiguration } from "./rg_lru.ts";
import type { Rwkv6Configuration } from "./rwkv6.ts";
import type { Rwkv7Configuration } from "./rwkv7.ts";
import type { ShortConvolutionConfiguration } from "./short_convolution.ts";

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
  | ShortConvolutionConfiguration
  | OwnMixerConfiguration;

/** A mixer of one's own, which {@linkcode defineMixer} registered; its options are plain data. */
export interface OwnMixerConfiguration {
  /** Which mixer this is. */
  readonly kind: `own_${string}`;
  /** Its options. */
  readonly [option: string]: unknown;
}
