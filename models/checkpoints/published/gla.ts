import * as v from "valibot";
import type { ActivationKind } from "../../../kernels/activation/mod.ts";
import { FLAG, namesOf, NUMBER, oneOf, only, POSITIVE, SIZE } from "../../schema.ts";
import {
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
} from "./family.ts";
import { CONVOLUTION_FIELDS, GROUPED_FIELDS, groupedSources, readFla, readGrouped } from "./fla.ts";

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

const CONFIG = v.object({
  ...GROUPED_FIELDS,
  ...CONVOLUTION_FIELDS,
  expand_k: v.nullish(POSITIVE, 0.5),
  use_short_conv: v.nullish(FLAG, false),
  feature_map: v.nullish(oneOf(namesOf(FEATURE_MAPS))),
  gate_logit_normalizer: only(16),
  gate_low_rank_dim: v.nullish(SIZE, 16),
  clamp_min: v.nullish(NUMBER),
});

/** Gated linear attention (Yang et al. 2024) in flash-linear-attention's layout. */
export const gla: PublishedFamily = publishedFamily({
  sign: '"architectures": ["GLAForCausalLM"]',
  matches: (config) => isTransformers(config, "GLAForCausalLM", "gla"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { feature_map: featureMap, clamp_min: lowestLogDecay } = config;
    const { mixer, channels } = readGrouped(
      config,
      file,
      featureMap ? FEATURE_MAPS[featureMap] : undefined,
    );
    const convolution = config.use_short_conv ? config.conv_size : 0;
    return readFla(config, file, {
      family: "gla",
      mixer: {
        kind: "gla",
        ...mixer,
        convolution,
        gateRank: config.gate_low_rank_dim,
        ...(typeof lowestLogDecay === "number" && { lowestLogDecay }),
      },
      sources: (attn) => ({
        ...groupedSources(config, attn, channels, convolution),
        "mixer.decay.down.weight": `${attn}.gk_proj.0.weight`,
        "mixer.decay.up.weight": `${attn}.gk_proj.1.weight`,
        "mixer.decay.bias": `${attn}.gk_proj.1.bias`,
      }),
    });
  },
});
