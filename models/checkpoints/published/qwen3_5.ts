import * as v from "valibot";
import type { LayerConfiguration } from "../../configuration.ts";
import type { DeltaNetConfiguration } from "../../mixers/delta_net.ts";
import { FLAG, HEADS, LAYERS, SIZE } from "../../schema.ts";
import { CheckpointConfig } from "./config.ts";
import {
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
  rowsOf,
  runOfGroups,
} from "./family.ts";
import { readRotary } from "./rotary.ts";
import {
  attentionSources,
  LAYER_TYPES,
  layerTypesOf,
  normSources,
  partSources,
  perceptronSources,
  readHeads,
  readTransformers,
  type Sources,
  TRANSFORMER_FIELDS,
} from "./transformers.ts";

const TEXT_CONFIG = v.object({
  ...TRANSFORMER_FIELDS,
  head_dim: v.nullish(SIZE, 256),
  attention_bias: v.nullish(FLAG, false),
  layer_types: LAYER_TYPES,
  full_attention_interval: v.nullish(LAYERS, 4),
  linear_conv_kernel_dim: v.nullish(SIZE, 4),
  linear_key_head_dim: v.nullish(SIZE, 128),
  linear_value_head_dim: v.nullish(SIZE, 128),
  linear_num_key_heads: v.nullish(HEADS, 16),
  linear_num_value_heads: v.nullish(HEADS, 32),
});
const TOWERS = v.object({
  text_config: v.looseObject({}, "an object"),
  tie_word_embeddings: v.nullish(FLAG),
});
/** The tower for pictures, and the one that predicts several tokens. */
const OTHER_TOWERS = /^(model\.)?visual\.|^mtp\./;

/** Qwen 3.5's language models in transformers' layout: Gated DeltaNet, and gated attention 1 in 4. */
export const qwen3_5Text: PublishedFamily = publishedFamily({
  sign: '"architectures": ["Qwen3_5ForCausalLM"]',
  matches: (config) => isTransformers(config, "Qwen3_5ForCausalLM", "qwen3_5_text"),
  schema: TEXT_CONFIG,
  read: (config, file) => read(config, file, "model"),
});

/** Qwen 3.5 with other towers, which are left out. */
export const qwen3_5: PublishedFamily = publishedFamily({
  sign: '"architectures": ["Qwen3_5ForConditionalGeneration"]',
  matches: (config) => isTransformers(config, "Qwen3_5ForConditionalGeneration", "qwen3_5"),
  schema: TOWERS,
  read({ text_config: text, tie_word_embeddings: tied }, file): PublishedModel {
    const values = { ...text, ...(typeof tied === "boolean" && { tie_word_embeddings: tied }) };
    const within = new CheckpointConfig(values, `${file.source}, "text_config"`);
    return read(within.check(TEXT_CONFIG), within, "model.language_model");
  },
});

function read(
  config: v.InferOutput<typeof TEXT_CONFIG>,
  file: CheckpointConfig,
  prefix: string,
): PublishedModel {
  const { attention_bias: bias, hidden_size: width, rms_norm_eps: normEpsilon } = config;
  const heads = readHeads(config, file);
  const rotary = readRotary(config, file, heads.headDim, 0.25);
  const { linear_num_value_heads: valueHeads, linear_num_key_heads: keyHeads } = config;
  file.divide({ linear_num_value_heads: valueHeads }, { linear_num_key_heads: keyHeads });
  const delta: DeltaNetConfiguration = {
    kind: "gated_delta_net",
    heads: valueHeads,
    keyHeads,
    keyDim: config.linear_key_head_dim,
    valueDim: config.linear_value_head_dim,
    convolution: config.linear_conv_kernel_dim,
    normEpsilon,
  };
  const types = layerTypesOf(
    config,
    file,
    { linear_attention: "delta", full_attention: "attention" } as const,
    (index) => (index + 1) % config.full_attention_interval === 0 ? "attention" : "delta",
  );
  return readTransformers(config, {
    family: "qwen3.5",
    prefixes: [prefix],
    layers: types.map((type): LayerConfiguration => ({
      mixer: type === "delta" ? delta : {
        kind: "attention",
        ...heads,
        bias,
        outputBias: bias,
        queryKeyNorm: "head",
        normEpsilon,
        outputGate: true,
        ...rotary,
      },
      channelMixer: { kind: "swiglu", hidden: config.intermediate_size },
    })),
    sources: (layer, index) => ({
      ...normSources(layer, {
        mixer_norm: "input_layernorm",
        channel_norm: "post_attention_layernorm",
      }),
      ...partSources({
        mixer: types[index] === "delta"
          ? deltaNet(`${layer}.linear_attn`, width, delta)
          : gatedAttention(`${layer}.self_attn`, width, heads),
        channel_mixer: perceptronSources(`${layer}.mlp`),
      }),
    }),
    centredNorms: true,
    besides: OTHER_TOWERS,
  });
}

/** Each head's rows of the first projection are its queries, then its gates. */
function gatedAttention(
  attn: string,
  width: number,
  { heads, headDim }: { readonly heads: number; readonly headDim: number },
): Sources {
  const rows = 2 * heads * headDim;
  const part = (run: number, ours: string): Sources => ({
    [`${ours}.weight`]: runOfGroups(`${attn}.q_proj.weight`, [rows, width], {
      groups: heads,
      runs: 2,
      run,
    }),
    [`${ours}.bias`]: runOfGroups(`${attn}.q_proj.bias`, [rows], { groups: heads, runs: 2, run }),
  });
  return { ...attentionSources(attn), ...part(0, "query"), ...part(1, "gate") };
}

/** Queries, keys and values are rows of one projection, and channels of one convolution. */
function deltaNet(
  attn: string,
  width: number,
  { heads, keyHeads = heads, keyDim, valueDim, convolution: taps = 4 }: DeltaNetConfiguration,
): Sources {
  const keys = keyHeads * keyDim;
  const ends = { query: keys, key: 2 * keys, value: 2 * keys + heads * valueDim };
  const rows = ends.value;
  const streams = Object.entries(ends).map(([name, end], index, all): Sources => {
    const part = [index === 0 ? 0 : all[index - 1][1], end] as const;
    return {
      [`${name}.weight`]: rowsOf(`${attn}.in_proj_qkv.weight`, [rows, width], part),
      [`${name}_convolution.weight`]: rowsOf(`${attn}.conv1d.weight`, [rows, 1, taps], part),
    };
  });
  return {
    ...Object.assign({}, ...streams),
    "beta.weight": `${attn}.in_proj_b.weight`,
    "decay.weight": `${attn}.in_proj_a.weight`,
    "decay.rate": `${attn}.A_log`,
    "decay.bias": `${attn}.dt_bias`,
    "gate.weight": `${attn}.in_proj_z.weight`,
    "norm.weight": `${attn}.norm.weight`,
    "output.weight": `${attn}.out_proj.weight`,
  };
}
