import * as v from "valibot";
import type { LayerConfiguration } from "../../configuration.ts";
import type { Mamba2Configuration } from "../../mixers/mamba2.ts";
import { FLAG, HEADS, LAYERS, oneOf, only, POSITIVE, SIZE, TEXT } from "../../schema.ts";
import type { CheckpointConfig } from "./config.ts";
import {
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
} from "./family.ts";
import { mamba2Sources, STEP_LIMIT, stepLimitOf } from "./mamba2.ts";
import {
  ATTENTION_FIELDS,
  attentionSources,
  LAYER_TYPES,
  layerTypesOf,
  MODEL_FIELDS,
  normSources,
  partSources,
  perceptronSources,
  readHeads,
  readTransformers,
  type Sources,
} from "./transformers.ts";

const CONFIG = v.object({
  ...MODEL_FIELDS,
  ...ATTENTION_FIELDS,
  num_hidden_layers: v.nullish(LAYERS),
  /** A letter for each layer: M for Mamba-2, * for attention, - for a perceptron. */
  hybrid_override_pattern: v.nullish(TEXT),
  layers_block_type: LAYER_TYPES,
  layer_norm_epsilon: v.nullish(POSITIVE, 1e-5),
  num_key_value_heads: v.nullish(HEADS, 8),
  head_dim: v.nullish(SIZE, 128),
  intermediate_size: v.nullish(SIZE, 21504),
  mlp_hidden_act: v.nullish(oneOf(["relu2"])),
  mlp_bias: v.nullish(FLAG, false),
  mamba_num_heads: v.nullish(HEADS, 128),
  mamba_head_dim: v.nullish(SIZE, 64),
  mamba_hidden_act: v.nullish(oneOf(["silu"])),
  ssm_state_size: v.nullish(SIZE, 128),
  n_groups: v.nullish(HEADS, 8),
  conv_kernel: v.nullish(SIZE, 4),
  use_conv_bias: v.nullish(FLAG, true),
  use_bias: v.nullish(FLAG, false),
  time_step_limit: STEP_LIMIT,
  attention_bias: only(false),
});

type LayerType = "mamba" | "attention" | "perceptron" | "experts";

const LETTERS: Readonly<Record<string, LayerType>> = {
  "M": "mamba",
  "*": "attention",
  "-": "perceptron",
  "E": "experts",
};
const TYPES: Readonly<Record<string, LayerType>> = {
  linear_attention: "mamba",
  full_attention: "attention",
  mlp: "perceptron",
  moe: "experts",
  mamba: "mamba",
  attention: "attention",
};

/** Nemotron-H without experts, in transformers' layout: each layer is one of three kinds alone. */
export const nemotronH: PublishedFamily = publishedFamily({
  sign: '"architectures": ["NemotronHForCausalLM"]',
  refusesParts: true,
  matches: (config) => isTransformers(config, "NemotronHForCausalLM", "nemotron_h"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const types = readTypes(config, file);
    const { mamba_num_heads: heads, n_groups: groups } = config;
    file.divide({ mamba_num_heads: heads }, { n_groups: groups });
    const mamba: Mamba2Configuration = {
      kind: "mamba2",
      heads,
      headDim: config.mamba_head_dim,
      stateDim: config.ssm_state_size,
      groups,
      convolution: config.conv_kernel,
      convolutionBias: config.use_conv_bias,
      bias: config.use_bias,
      normGroups: groups,
      normEpsilon: config.layer_norm_epsilon,
      ...stepLimitOf(config.time_step_limit),
    };
    const layers: Readonly<Record<string, LayerConfiguration>> = {
      mamba: { mixer: mamba },
      attention: { mixer: { kind: "attention", ...readHeads(config, file) } },
      perceptron: {
        channelMixer: {
          kind: "relu_squared",
          hidden: config.intermediate_size,
          bias: config.mlp_bias,
        },
      },
    };
    return readTransformers({ ...config, rms_norm_eps: config.layer_norm_epsilon }, {
      family: "nemotron-h",
      layers: types.map((type) => layers[type]),
      prefixes: ["backbone"],
      sources(layer, index): Sources {
        const mixer = `${layer}.mixer`;
        if (types[index] === "perceptron") {
          return {
            ...normSources(layer, { channel_norm: "norm" }),
            ...partSources({ channel_mixer: perceptronSources(mixer) }),
          };
        }
        return {
          ...normSources(layer, { mixer_norm: "norm" }),
          ...partSources({
            mixer: types[index] === "mamba" ? mamba2Sources(mixer, mamba) : attentionSources(mixer),
          }),
        };
      },
      outer: {
        "embedding.weight": "backbone.embeddings.weight",
        "norm.weight": "backbone.norm_f.weight",
      },
    });
  },
});

/** What each layer is. @throws {Error} where that is not said, or a layer is a mixture of experts. */
function readTypes(config: v.InferOutput<typeof CONFIG>, file: CheckpointConfig): LayerType[] {
  const letters = config.hybrid_override_pattern;
  const given = config.layers_block_type ?? (letters ? [...letters] : undefined);
  if (!given) return file.fail('it must give "layers_block_type" or "hybrid_override_pattern"');
  const types = layerTypesOf(
    { num_hidden_layers: given.length, layer_types: given },
    file,
    config.layers_block_type ? TYPES : LETTERS,
    () => "mamba",
  );
  if (types.includes("experts")) {
    file.fail(
      "some of its layers are mixtures of experts, which are not supported: supported are Mamba-2, attention and perceptrons",
    );
  }
  return types;
}
