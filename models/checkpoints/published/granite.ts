import * as v from "valibot";
import type { LayerConfiguration } from "../../configuration.ts";
import type { AttentionConfiguration } from "../../mixers/attention.ts";
import { FLAG, oneOf, POSITIVE, SIZE, SIZE_OR_NONE, TEXT } from "../../schema.ts";
import {
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
  rowsOf,
} from "./family.ts";
import { mamba2Sources, MAMBA_2_FIELDS, readMamba2 } from "./mamba2.ts";
import { readRotary, scaleRotary } from "./rotary.ts";
import {
  ATTENTION_FIELDS,
  attentionSources,
  LAYER_TYPES,
  layerTypesOf,
  MODEL_FIELDS,
  normSources,
  partSources,
  readHeads,
  readTransformers,
  scaledMap,
  type Sources,
} from "./transformers.ts";

const CONFIG = v.object({
  ...MODEL_FIELDS,
  ...ATTENTION_FIELDS,
  ...MAMBA_2_FIELDS,
  num_local_experts: v.nullish(SIZE_OR_NONE, 8),
  shared_intermediate_size: v.nullish(SIZE, 1024),
  hidden_act: v.nullish(oneOf(["silu"])),
  attention_bias: v.nullish(FLAG, false),
  /** `rope`, or anything else for layers without positions. */
  position_embedding_type: v.nullish(TEXT),
  embedding_multiplier: v.nullish(POSITIVE, 1),
  logits_scaling: v.nullish(POSITIVE, 1),
  residual_multiplier: v.nullish(POSITIVE, 1),
  attention_multiplier: v.nullish(POSITIVE, 1),
  layer_types: LAYER_TYPES,
  layers_block_type: LAYER_TYPES,
});

/** Granite 4 without experts, in transformers' layout: Mamba-2, and some layers of attention. */
export const graniteHybrid: PublishedFamily = publishedFamily({
  sign: '"architectures": ["GraniteMoeHybridForCausalLM"]',
  refusesParts: true,
  matches: (config) => isTransformers(config, "GraniteMoeHybridForCausalLM", "granitemoehybrid"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    if (config.num_local_experts > 0) {
      file.failOn("num_local_experts", "0, as mixtures of experts are not supported");
    }
    const { shared_intermediate_size: hidden, attention_bias: bias, hidden_size: width } = config;
    const heads = readHeads(config, file);
    const rotary = config.position_embedding_type === "rope"
      ? readRotary(config, file, heads.headDim, "whole")
      : {};
    const attention: AttentionConfiguration = {
      kind: "attention",
      ...heads,
      bias,
      outputBias: bias,
      ...scaleRotary(rotary, heads.headDim, config.attention_multiplier),
    };
    const mamba = readMamba2(config, file);
    const types = layerTypesOf(
      { ...config, layer_types: config.layer_types ?? config.layers_block_type },
      file,
      {
        linear_attention: "mamba",
        full_attention: "attention",
        mamba: "mamba",
        attention: "attention",
      } as const,
      () => "mamba",
    );
    return readTransformers(config, {
      family: "granite-hybrid",
      embeddingScale: config.embedding_multiplier,
      logitScale: 1 / config.logits_scaling,
      layers: types.map((type): LayerConfiguration => ({
        mixer: type === "mamba" ? mamba : attention,
        channelMixer: { kind: "swiglu", hidden },
      })),
      sources: (layer, index) => ({
        ...normSources(layer, {
          mixer_norm: "input_layernorm",
          channel_norm: "post_attention_layernorm",
        }),
        ...partSources({
          mixer: scaledMap(
            types[index] === "mamba"
              ? mamba2Sources(`${layer}.mamba`, mamba)
              : attentionSources(`${layer}.self_attn`),
            "output",
            config.residual_multiplier,
          ),
          channel_mixer: scaledMap(
            perceptron(`${layer}.shared_mlp`, hidden, width),
            "down",
            config.residual_multiplier,
          ),
        }),
      }),
    });
  },
});

/** The gate's rows and those of what it gates are one tensor. */
function perceptron(mlp: string, hidden: number, width: number): Sources {
  const shape = [2 * hidden, width];
  return {
    "gate.weight": rowsOf(`${mlp}.input_linear.weight`, shape, [0, hidden]),
    "up.weight": rowsOf(`${mlp}.input_linear.weight`, shape, [hidden, 2 * hidden]),
    "down.weight": `${mlp}.output_linear.weight`,
  };
}
