import * as v from "valibot";
import type { LayerConfiguration } from "../../configuration.ts";
import { FLAG, HEADS, LAYERS, namesOf, oneOf, POSITIVE, SIZE, VOCABULARY } from "../../schema.ts";
import {
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
  sourcesOf,
} from "./family.ts";
import { readRotary, readTrainedLength, ROTARY_FIELDS } from "./rotary.ts";

const PERCEPTRONS = { silu: "swiglu", gelu_pytorch_tanh: "geglu" } as const;

const CONFIG = v.object({
  ...ROTARY_FIELDS,
  vocab_size: VOCABULARY,
  hidden_size: SIZE,
  intermediate_size: SIZE,
  num_hidden_layers: LAYERS,
  num_attention_heads: HEADS,
  num_key_value_heads: v.nullish(HEADS),
  head_dim: v.nullish(SIZE),
  hidden_act: v.nullish(oneOf(namesOf(PERCEPTRONS)), "silu"),
  attention_bias: v.nullish(FLAG, false),
  mlp_bias: v.nullish(FLAG, false),
  rms_norm_eps: v.nullish(POSITIVE, 1e-6),
  tie_word_embeddings: v.nullish(FLAG, false),
});

/** Llama in transformers' layout: Llama 2 and 3, Sheared-LLaMA, TinyLlama, SmolLM. */
export const llama: PublishedFamily = publishedFamily({
  sign: '"architectures": ["LlamaForCausalLM"]',
  matches: (config) => isTransformers(config, "LlamaForCausalLM", "llama"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { hidden_size: width, num_attention_heads: heads, attention_bias: bias } = config;
    const keyHeads = config.num_key_value_heads ?? heads;
    file.divide({ num_attention_heads: heads }, { num_key_value_heads: keyHeads });
    const headDim = config.head_dim ??
      file.divide({ hidden_size: width }, { num_attention_heads: heads });
    const count = config.num_hidden_layers;
    const layer: LayerConfiguration = {
      mixer: {
        kind: "attention",
        heads,
        keyHeads,
        headDim,
        bias,
        outputBias: bias,
        ...readRotary(config, file, headDim, "whole"),
      },
      channelMixer: {
        kind: PERCEPTRONS[config.hidden_act],
        hidden: config.intermediate_size,
        bias: config.mlp_bias,
      },
    };
    return {
      trainedLength: readTrainedLength(config),
      configuration: {
        family: "llama",
        vocabulary: config.vocab_size,
        width,
        normEpsilon: config.rms_norm_eps,
        tiedHead: config.tie_word_embeddings,
        layers: Array(count).fill(layer),
      },
      sources: sourcesOf(
        {
          "embedding.weight": "model.embed_tokens.weight",
          "norm.weight": "model.norm.weight",
          "head.weight": "lm_head.weight",
        },
        Array.from({ length: count }, (_, index) => layerSources(`model.layers.${index}`)),
      ),
      besides: /\.rotary_emb\.inv_freq$/,
    };
  },
});

function layerSources(layer: string): Record<string, string> {
  const projections = {
    "mixer.query": `${layer}.self_attn.q_proj`,
    "mixer.key": `${layer}.self_attn.k_proj`,
    "mixer.value": `${layer}.self_attn.v_proj`,
    "mixer.output": `${layer}.self_attn.o_proj`,
    "channel_mixer.gate": `${layer}.mlp.gate_proj`,
    "channel_mixer.up": `${layer}.mlp.up_proj`,
    "channel_mixer.down": `${layer}.mlp.down_proj`,
  };
  return {
    "mixer_norm.weight": `${layer}.input_layernorm.weight`,
    "channel_norm.weight": `${layer}.post_attention_layernorm.weight`,
    ...Object.fromEntries(
      Object.entries(projections).flatMap(([ours, theirs]) => [
        [`${ours}.weight`, `${theirs}.weight`],
        [`${ours}.bias`, `${theirs}.bias`],
      ]),
    ),
  };
}
