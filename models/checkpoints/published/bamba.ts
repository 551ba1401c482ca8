import * as v from "valibot";
import type { LayerConfiguration } from "../../configuration.ts";
import { FLAG, integer, listOf, POSITIVE } from "../../schema.ts";
import {
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
} from "./family.ts";
import { mamba2Sources, MAMBA_2_FIELDS, readMamba2 } from "./mamba2.ts";
import { readRotary } from "./rotary.ts";
import {
  attentionSources,
  normSources,
  partSources,
  perceptronSources,
  readHeads,
  readTransformers,
  TRANSFORMER_FIELDS,
} from "./transformers.ts";

const CONFIG = v.object({
  ...TRANSFORMER_FIELDS,
  ...MAMBA_2_FIELDS,
  rms_norm_eps: v.nullish(POSITIVE, 1e-5),
  attention_bias: v.nullish(FLAG, false),
  mlp_bias: v.nullish(FLAG, false),
  attn_layer_indices: v.nullish(listOf(integer(0, 2 ** 24)), []),
});

/** Bamba in transformers' layout: Mamba-2, and some layers of attention of whose heads half turns. */
export const bamba: PublishedFamily = publishedFamily({
  sign: '"architectures": ["BambaForCausalLM"]',
  matches: (config) => isTransformers(config, "BambaForCausalLM", "bamba"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { attention_bias: bias, intermediate_size: hidden, mlp_bias: mlpBias } = config;
    const heads = readHeads(config, file);
    const mamba = readMamba2(config, file);
    const isAttention = (index: number): boolean => config.attn_layer_indices.includes(index);
    const rotary = readRotary(config, file, heads.headDim, 0.5);
    const layers = Array.from({ length: config.num_hidden_layers }, (_, index) => index);
    return readTransformers(config, {
      family: "bamba",
      layers: layers.map((index): LayerConfiguration => ({
        mixer: isAttention(index)
          ? { kind: "attention", ...heads, bias, outputBias: bias, ...rotary }
          : mamba,
        channelMixer: { kind: "swiglu", hidden, bias: mlpBias },
      })),
      sources: (layer, index) => ({
        ...normSources(layer, { mixer_norm: "input_layernorm", channel_norm: "pre_ff_layernorm" }),
        ...partSources({
          mixer: isAttention(index)
            ? attentionSources(`${layer}.self_attn`)
            : mamba2Sources(`${layer}.mamba`, mamba),
          channel_mixer: perceptronSources(`${layer}.feed_forward`),
        }),
      }),
      outer: { "norm.weight": "model.final_layernorm.weight" },
    });
  },
});
