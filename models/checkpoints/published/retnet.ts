import * as v from "valibot";
import type { ActivationKind } from "../../../kernels/activation/mod.ts";
import { HEADS, namesOf, oneOf, POSITIVE } from "../../schema.ts";
import {
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
} from "./family.ts";
import { GROUPED_FIELDS, groupedSources, readFla, readGrouped } from "./fla.ts";

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

const CONFIG = v.object({
  ...GROUPED_FIELDS,
  hidden_ratio: v.optional(v.nullable(POSITIVE), 2),
  num_heads: v.nullish(HEADS, 8),
  expand_v: v.nullish(POSITIVE, 2),
  feature_map: v.nullish(oneOf(namesOf(FEATURE_MAPS))),
});

/**
 * RetNet (Sun et al. 2023) in flash-linear-attention's layout. fla's model does not hand
 * `use_short_conv` on to its layer, so that it has no convolution whatever the config says.
 */
export const retNet: PublishedFamily = publishedFamily({
  sign: '"architectures": ["RetNetForCausalLM"]',
  matches: (config) => isTransformers(config, "RetNetForCausalLM", "retnet"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { feature_map: featureMap } = config;
    const { mixer, channels } = readGrouped(
      config,
      file,
      featureMap ? FEATURE_MAPS[featureMap] : undefined,
    );
    return readFla(config, file, {
      family: "retnet",
      mixer: { kind: "retnet", ...mixer },
      sources: (attn) => groupedSources(config, attn, channels, 0),
    });
  },
});
