import * as v from "valibot";
import type { LayerConfiguration } from "../../configuration.ts";
import type { AttentionConfiguration } from "../../mixers/attention.ts";
import { FLAG, integer, SIZE } from "../../schema.ts";
import type { CheckpointConfig } from "./config.ts";
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

const FIELDS = {
  ...TRANSFORMER_FIELDS,
  use_sliding_window: v.nullish(FLAG, false),
  sliding_window: windowField(4096),
  max_window_layers: v.nullish(integer(0, 1024), 28),
  layer_types: LAYER_TYPES,
};
const QWEN_2 = v.object(FIELDS);
const QWEN_3 = v.object({
  ...FIELDS,
  head_dim: v.nullish(SIZE, 128),
  attention_bias: v.nullish(FLAG, false),
});

/** Qwen 2 and 2.5 in transformers' layout: biases on queries, keys and values. */
export const qwen2: PublishedFamily = publishedFamily({
  sign: '"architectures": ["Qwen2ForCausalLM"]',
  matches: (config) => isTransformers(config, "Qwen2ForCausalLM", "qwen2"),
  schema: QWEN_2,
  read: (config, file) => read(config, file, "qwen2", { bias: true }),
});

/** Qwen 3 in transformers' layout: queries and keys are normed, each head on its own. */
export const qwen3: PublishedFamily = publishedFamily({
  sign: '"architectures": ["Qwen3ForCausalLM"]',
  matches: (config) => isTransformers(config, "Qwen3ForCausalLM", "qwen3"),
  schema: QWEN_3,
  read: (config, file) =>
    read(config, file, "qwen3", {
      bias: config.attention_bias,
      outputBias: config.attention_bias,
      queryKeyNorm: "head",
      normEpsilon: config.rms_norm_eps,
    }),
});

function read(
  config: v.InferOutput<typeof QWEN_2>,
  file: CheckpointConfig,
  family: string,
  of: Partial<AttentionConfiguration>,
): PublishedModel {
  const heads = readHeads(config, file);
  const window = config.use_sliding_window ? config.sliding_window : null;
  // Layers from max_window_layers on have the window.
  const types = layerTypesOf(
    config,
    file,
    { full_attention: "full", sliding_attention: "window" } as const,
    (index) => window !== null && index >= config.max_window_layers ? "window" : "full",
  );
  const rotary = readRotary(config, file, heads.headDim, "whole");
  return readTransformers(config, {
    family,
    layers: types.map((type): LayerConfiguration => ({
      mixer: {
        kind: "attention",
        ...heads,
        ...of,
        ...rotary,
        ...(type === "window" && window !== null && { window }),
      },
      channelMixer: { kind: "swiglu", hidden: config.intermediate_size },
    })),
    sources: transformerLayer,
  });
}
