import type { ActivationKind } from "../../../kernels/activation/mod.ts";
import { isTransformers, type PublishedFamily, type PublishedModel } from "./family.ts";
import { groupedSources, readConvolution, readFla, readGrouped, refuseUnless } from "./fla.ts";

/** fla's own names of activations; its gelu is the tanh approximation. */
const FEATURE_MAPS: Readonly<Record<string, ActivationKind>> = {
  relu: "relu",
  sigmoid: "sigmoid",
  logsigmoid: "log_sigmoid",
  silu: "silu",
  swish: "silu",
  sqrelu: "relu_squared",
  gelu: "gelu",
};

/** Gated linear attention (Yang et al. 2024) in flash-linear-attention's layout. */
export const gla: PublishedFamily = {
  sign: '"architectures": ["GLAForCausalLM"]',
  matches: (config) => isTransformers(config, "GLAForCausalLM", "gla"),
  read(config): PublishedModel {
    const { mixer, channels } = readGrouped(config, {
      heads: 4,
      expansion: { key: 0.5, value: 1 },
      featureMaps: FEATURE_MAPS,
    });
    const convolution = readConvolution(config, false);
    refuseUnless(config, "gate_logit_normalizer", 16);
    return readFla(config, {
      family: "gla",
      mixer: {
        kind: "gla",
        ...mixer,
        convolution,
        gateRank: config.number("gate_low_rank_dim", 16),
        ...(config.has("clamp_min") && { lowestLogDecay: config.number("clamp_min") }),
      },
      hiddenRatio: 4,
      layers: 24,
      sources: (attn) => ({
        ...groupedSources(config, attn, channels, convolution),
        "mixer.decay.down.weight": `${attn}.gk_proj.0.weight`,
        "mixer.decay.up.weight": `${attn}.gk_proj.1.weight`,
        "mixer.decay.bias": `${attn}.gk_proj.1.bias`,
      }),
    });
  },
};
