import * as v from "valibot";
import type { LayerConfiguration } from "../../configuration.ts";
import { FLAG, integer, LAYERS, listOf, POSITIVE } from "../../schema.ts";
import {
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
} from "./family.ts";
import { readRotary } from "./rotary.ts";
import {
  LAYER_TYPES,
  layerTypesOf,
  readHeads,
  readTransformers,
  TRANSFORMER_FIELDS,
  transformerLayer,
  windowField,
} from "./transformers.ts";

const CONFIG = v.object({
  ...TRANSFORMER_FIELDS,
  rope_theta: v.nullish(POSITIVE, 2e6),
  tie_word_embeddings: v.nullish(FLAG, true),
  attention_bias: v.nullish(FLAG, false),
  mlp_bias: v.nullish(FLAG, false),
  use_sliding_window: v.nullish(FLAG, false),
  sliding_window: v.nullish(windowField(4096), null),
  layer_types: LAYER_TYPES,
  /** 1 for each layer that has positions, 0 for one that has none. */
  no_rope_layers: v.nullish(listOf(integer(0, 1))),
  no_rope_layer_interval: v.nullish(LAYERS, 4),
});

/** SmolLM 3 in transformers' layout: every fourth layer has no positions (Yang et al. 2025, RNoPE). */
export const smolLm3: PublishedFamily = publishedFamily({
  sign: '"architectures": ["SmolLM3ForCausalLM"]',
  matches: (config) => isTransformers(config, "SmolLM3ForCausalLM", "smollm3"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { attention_bias: bias, num_hidden_layers: count, no_rope_layers: given } = config;
    if (given && given.length < count) file.failOn("no_rope_layers", `a list of ${count}`);
    const turns = (index: number): boolean =>
      given ? given[index] === 1 : (index + 1) % config.no_rope_layer_interval !== 0;
    const heads = readHeads(config, file);
    const rotary = readRotary(config, file, heads.headDim, "whole");
    const window = config.use_sliding_window ? config.sliding_window : null;
    const types = layerTypesOf(
      config,
      file,
      { full_attention: "full", sliding_attention: "window" } as const,
      (index) => turns(index) ? "full" : "window",
    );
    return readTransformers(config, {
      family: "smollm3",
      layers: types.map((type, index): LayerConfiguration => ({
        mixer: {
          kind: "attention",
          ...heads,
          bias,
          outputBias: bias,
          ...(turns(index) && rotary),
          ...(type === "window" && window !== null && { window }),
        },
        channelMixer: {
          kind: "swiglu",
          hidden: config.intermediate_size,
          bias: config.mlp_bias,
        },
      })),
      sources: transformerLayer,
    });
  },
});
