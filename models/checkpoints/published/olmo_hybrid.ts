import * as v from "valibot";
import type { LayerConfiguration } from "../../configuration.ts";
import type { DeltaNetConfiguration } from "../../mixers/delta_net.ts";
import { FLAG, HEADS, SIZE } from "../../schema.ts";
import type { CheckpointConfig } from "./config.ts";
import {
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
} from "./family.ts";
import { gatedDeltaNetSources } from "./gated_deltanet.ts";
import { readRotary, type RotaryConfiguration } from "./rotary.ts";
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

/** What the norm of a Gated DeltaNet's heads adds, whatever `rms_norm_eps` says. */
const OUTPUT_EPSILON = 1e-5;

const CONFIG = v.object({
  ...TRANSFORMER_FIELDS,
  attention_bias: v.nullish(FLAG, false),
  layer_types: LAYER_TYPES,
  linear_num_key_heads: v.nullish(HEADS),
  linear_num_value_heads: v.nullish(HEADS),
  linear_key_head_dim: v.nullish(SIZE),
  linear_value_head_dim: v.nullish(SIZE),
  linear_conv_kernel_dim: v.nullish(SIZE, 4),
  linear_allow_neg_eigval: v.nullish(FLAG, true),
});
type Config = v.InferOutput<typeof CONFIG>;

/**
 * OLMo Hybrid in transformers' layout: Gated DeltaNet with negative eigenvalues, and attention 1 in 4,
 * whose layers are normed behind, as are its queries and keys, all heads together.
 */
export const olmoHybrid: PublishedFamily = publishedFamily({
  sign: '"architectures": ["OlmoHybridForCausalLM"]',
  matches: (config) => isTransformers(config, "OlmoHybridForCausalLM", "olmo_hybrid"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { attention_bias: bias, num_hidden_layers: count } = config;
    const heads = readHeads(config, file);
    const rotary = readPositions(config, file, heads.headDim);
    const delta = readDeltaNet(config, file);
    const last = count < 4 ? count - 1 : undefined;
    const types = layerTypesOf(
      config,
      file,
      { linear_attention: "delta", full_attention: "attention" } as const,
      (index) => index % 4 === 3 || index === last ? "attention" : "delta",
    );
    const sourcesWith =
      (deltaNorms: Record<string, string>, attentionNorms: Record<string, string>) =>
      (layer: string, index: number): Sources =>
        types[index] === "delta"
          ? {
            ...normSources(layer, deltaNorms),
            ...gatedDeltaNetSources(
              `${layer}.linear_attn`,
              channelsOf(delta),
              config.linear_conv_kernel_dim,
            ),
            ...partSources({ channel_mixer: perceptronSources(`${layer}.mlp`) }),
          }
          : {
            ...normSources(layer, attentionNorms),
            ...partSources({
              mixer: attentionSources(`${layer}.self_attn`),
              channel_mixer: perceptronSources(`${layer}.mlp`),
            }),
          };
    const before = { mixer_norm: "input_layernorm", channel_norm: "post_attention_layernorm" };
    const olmo = { mixer_norm: "attention_layer_norm", channel_norm: "feedforward_layer_norm" };
    const behind = {
      mixer_output_norm: "post_attention_layernorm",
      channel_output_norm: "post_feedforward_layernorm",
    };
    return readTransformers(config, {
      family: "olmo-hybrid",
      layers: types.map((type): LayerConfiguration => ({
        mixer: type === "delta" ? delta : {
          kind: "attention",
          ...heads,
          bias,
          outputBias: bias,
          queryKeyNorm: "together",
          normEpsilon: config.rms_norm_eps,
          ...rotary,
        },
        channelMixer: { kind: "swiglu", hidden: config.intermediate_size },
        ...(type === "attention" && { norms: "behind" }),
      })),
      sources: sourcesWith(before, behind),
      otherSources: [
        // With OLMo's own names of norms in the layers of Gated DeltaNet.
        sourcesWith(olmo, behind),
        // As transformers saves: it renames one norm in the layers of attention too.
        sourcesWith(olmo, { ...behind, mixer_output_norm: "feedforward_layer_norm" }),
      ],
    });
  },
});

/** There are no positions where the base is null; transformers turns where it is left out. */
function readPositions(
  config: Config,
  file: CheckpointConfig,
  headDim: number,
): RotaryConfiguration {
  const rope = config.rope_scaling ?? config.rope_parameters;
  const base = rope?.rope_theta === undefined ? config.rope_theta : rope.rope_theta;
  return base === null ? {} : readRotary(config, file, headDim, "whole");
}

function readDeltaNet(config: Config, file: CheckpointConfig): DeltaNetConfiguration {
  const keyHeads = config.linear_num_key_heads ?? config.num_attention_heads;
  const heads = config.linear_num_value_heads ?? config.num_attention_heads;
  file.divide({ linear_num_value_heads: heads }, { linear_num_key_heads: keyHeads });
  const keyDim = config.linear_key_head_dim ??
    Math.trunc(0.75 * config.hidden_size / keyHeads);
  return {
    kind: "gated_delta_net",
    heads,
    keyHeads,
    keyDim,
    valueDim: config.linear_value_head_dim ?? 2 * keyDim,
    convolution: config.linear_conv_kernel_dim,
    negativeEigenvalues: config.linear_allow_neg_eigval,
    normEpsilon: OUTPUT_EPSILON,
  };
}

function channelsOf(
  { heads, keyHeads = heads, keyDim, valueDim }: DeltaNetConfiguration,
): { query: number; key: number; value: number } {
  const keys = keyHeads * keyDim;
  return { query: keys, key: keys, value: heads * valueDim };
}
