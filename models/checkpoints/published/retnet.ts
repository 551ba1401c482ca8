import type { ActivationKind } from "../../../kernels/activation/mod.ts";
import { isTransformers, type PublishedFamily, type PublishedModel } from "./family.ts";
import { groupedSources, readFla, readGrouped } from "./fla.ts";

/** transformers' names of activations, which RetNet takes here. */
const FEATURE_MAPS: Readonly<Record<string, ActivationKind>> = {
  relu: "relu",
  relu2: "relu_squared",
  sigmoid: "sigmoid",
  tanh: "tanh",
  silu: "silu",
  swish: "silu",
  gelu: "gelu_exact",
  gelu_new: "gelu",
  gelu_pytorch_tanh: "gelu",
};

/**
 * RetNet (Sun et al. 2023) in flash-linear-attention's layout. fla's model does not hand
 * `use_short_conv` on to its layer, so that it has no convolution whatever the config says.
 */
export const retNet: PublishedFamily = {
  sign: '"architectures": ["RetNetForCausalLM"]',
  matches: (config) => isTransformers(config, "RetNetForCausalLM", "retnet"),
  read(config): PublishedModel {
    const { mixer, channels } = readGrouped(config, {
      heads: 8,
      expansion: { key: 1, value: 2 },
      featureMaps: FEATURE_MAPS,
    });
    return readFla(config, {
      family: "retnet",
      mixer: { kind: "retnet", ...mixer },
      hiddenRatio: 2,
      layers: 24,
      sources: (attn) => groupedSources(config, attn, channels, 0),
    });
  },
};
