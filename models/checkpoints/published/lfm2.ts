import * as v from "valibot";
import type { LayerConfiguration } from "../../configuration.ts";
import { FLAG, integer, listOf, NOT_NEGATIVE, POSITIVE, SIZE } from "../../schema.ts";
import {
  convolutionSource,
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
} from "./family.ts";
import { readRotary } from "./rotary.ts";
import {
  ATTENTION_FIELDS,
  LAYER_TYPES,
  layerTypesOf,
  MODEL_FIELDS,
  normSources,
  partSources,
  projectionSources,
  readHeads,
  readTransformers,
  type Sources,
} from "./transformers.ts";

const CONFIG = v.object({
  ...MODEL_FIELDS,
  ...ATTENTION_FIELDS,
  norm_eps: v.nullish(POSITIVE, 1e-5),
  rope_theta: v.nullish(POSITIVE, 1e6),
  intermediate_size: v.nullish(SIZE, 12288),
  block_ff_dim: v.nullish(SIZE),
  block_multiple_of: v.nullish(SIZE, 256),
  block_ffn_dim_multiplier: v.optional(v.nullable(NOT_NEGATIVE), 1),
  block_auto_adjust_ff_dim: v.nullish(FLAG, true),
  tie_word_embeddings: v.nullish(FLAG, true),
  tie_embedding: v.nullish(FLAG),
  conv_bias: v.nullish(FLAG, false),
  conv_L_cache: v.nullish(SIZE, 3),
  layer_types: LAYER_TYPES,
  full_attn_idxs: v.nullish(listOf(integer(0, 2 ** 24))),
});

/** LFM2 in transformers' layout: gated short convolutions, and some layers of attention. */
export const lfm2: PublishedFamily = publishedFamily({
  sign: '"architectures": ["Lfm2ForCausalLM"]',
  matches: (config) => isTransformers(config, "Lfm2ForCausalLM", "lfm2"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { conv_L_cache: taps, hidden_size: width, norm_eps: epsilon } = config;
    const heads = readHeads(config, file);
    const rotary = readRotary(config, file, heads.headDim, "whole");
    const types = layerTypesOf(
      config,
      file,
      { full_attention: "attention", conv: "convolution" } as const,
      (index) => config.full_attn_idxs?.includes(index) ?? true ? "attention" : "convolution",
    );
    const model = {
      ...config,
      rms_norm_eps: epsilon,
      tie_word_embeddings: config.tie_embedding ?? config.tie_word_embeddings,
    };
    return readTransformers(model, {
      family: "lfm2",
      layers: types.map((type): LayerConfiguration => ({
        mixer: type === "attention"
          ? { kind: "attention", ...heads, ...rotary, queryKeyNorm: "head", normEpsilon: epsilon }
          : { kind: "short_convolution", convolution: taps, bias: config.conv_bias },
        channelMixer: { kind: "swiglu", hidden: hiddenOf(config) },
      })),
      sources: (layer, index) => ({
        ...normSources(layer, { mixer_norm: "operator_norm", channel_norm: "ffn_norm" }),
        ...partSources({
          mixer: types[index] === "attention"
            ? attention(`${layer}.self_attn`)
            : convolution(`${layer}.conv`, width, taps),
          channel_mixer: projectionSources({
            gate: `${layer}.feed_forward.w1`,
            up: `${layer}.feed_forward.w3`,
            down: `${layer}.feed_forward.w2`,
          }),
        }),
      }),
      outer: { "norm.weight": "model.embedding_norm.weight" },
    });
  },
});

/** The perceptron's width: two thirds of what is said, times a factor, up to a multiple. */
function hiddenOf(config: v.InferOutput<typeof CONFIG>): number {
  const said = config.block_ff_dim ?? config.intermediate_size;
  if (!config.block_auto_adjust_ff_dim) return said;
  const { block_ffn_dim_multiplier: factor, block_multiple_of: multiple } = config;
  const adjusted = Math.trunc(2 * said / 3);
  if (factor === null) return adjusted;
  return multiple * Math.ceil(Math.trunc(factor * adjusted) / multiple);
}

function attention(attn: string): Sources {
  return {
    ...projectionSources({
      query: `${attn}.q_proj`,
      key: `${attn}.k_proj`,
      value: `${attn}.v_proj`,
      output: `${attn}.out_proj`,
    }),
    "query_norm.weight": `${attn}.q_layernorm.weight`,
    "key_norm.weight": `${attn}.k_layernorm.weight`,
  };
}

function convolution(conv: string, width: number, taps: number): Sources {
  return {
    ...projectionSources({ input: `${conv}.in_proj`, output: `${conv}.out_proj` }),
    "convolution.weight": convolutionSource(`${conv}.conv.weight`, width, taps),
    "convolution.bias": `${conv}.conv.bias`,
  };
}
