import * as v from "valibot";
import type { LayerConfiguration } from "../../configuration.ts";
import {
  FLAG,
  HEADS,
  LAYERS,
  oneOf,
  only,
  POSITIVE,
  type Schema,
  SIZE,
  VOCABULARY,
} from "../../schema.ts";
import { CheckpointConfig } from "./config.ts";
import {
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
} from "./family.ts";
import { readRotary, ROPE, type RotaryConfiguration, scaleRotary } from "./rotary.ts";
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
  type TransformersModel,
  windowField,
} from "./transformers.ts";

/** A bound of the logits, or null for none. */
function capField(cap: number | null): Schema<number | null> {
  return v.optional(v.nullable(POSITIVE), cap) as Schema<number | null>;
}

const FIELDS = {
  ...MODEL_FIELDS,
  ...ATTENTION_FIELDS,
  intermediate_size: SIZE,
  head_dim: v.nullish(SIZE, 256),
  hidden_activation: v.nullish(oneOf(["gelu_pytorch_tanh"])),
  attention_bias: v.nullish(FLAG, false),
  query_pre_attn_scalar: v.nullish(POSITIVE, 256),
  sliding_window: windowField(4096),
  layer_types: LAYER_TYPES,
  tie_word_embeddings: v.nullish(FLAG, true),
  use_bidirectional_attention: only(false),
};
const GEMMA_2 = v.object({
  ...FIELDS,
  attn_logit_softcapping: capField(50),
  final_logit_softcapping: capField(30),
});
const GEMMA_3 = v.object({
  ...FIELDS,
  // The configs of models with several towers leave these out.
  vocab_size: v.nullish(VOCABULARY, 262_208),
  num_attention_heads: v.nullish(HEADS, 8),
  num_key_value_heads: v.nullish(HEADS, 4),
  final_logit_softcapping: capField(null),
  sliding_window_pattern: v.nullish(LAYERS, 6),
  rope_parameters: v.nullish(
    v.object({ full_attention: v.nullish(ROPE), sliding_attention: v.nullish(ROPE) }, "an object"),
  ),
  rope_theta: v.nullish(POSITIVE, 1e6),
  rope_local_base_freq: v.nullish(POSITIVE, 1e4),
});

const TOWERS = v.object({ text_config: v.looseObject({}, "an object") });
/** The tower for pictures, what leads from it, and a head that is tied. */
const OTHER_TOWERS = /^(model\.)?(vision_tower|multi_modal_projector)\.|^language_model\.lm_head\./;

/** Gemma 2 in transformers' layout: every other layer has a window, and attention a soft cap. */
export const gemma2: PublishedFamily = publishedFamily({
  sign: '"architectures": ["Gemma2ForCausalLM"]',
  matches: (config) => isTransformers(config, "Gemma2ForCausalLM", "gemma2"),
  schema: GEMMA_2,
  read(config, file): PublishedModel {
    const rotary = readRotary(config, file, config.head_dim, "whole");
    const softCap = config.attn_logit_softcapping;
    return read(config, file, {
      family: "gemma2",
      every: 2,
      attention: { ...(softCap !== null && { softCap }) },
      rotary: { full: rotary, window: rotary },
    });
  },
});

/**
 * Gemma 3's models of text in transformers' layout: every sixth layer sees all, the others have a window
 * and another rotary base; queries and keys are normed.
 */
export const gemma3: PublishedFamily = publishedFamily({
  sign: '"architectures": ["Gemma3ForCausalLM"]',
  matches: (config) => isTransformers(config, "Gemma3ForCausalLM", "gemma3_text"),
  schema: GEMMA_3,
  read: (config, file) => readGemma3(config, file),
});

/** Gemma 3 with a tower for pictures, which is left out. */
export const gemma3Towers: PublishedFamily = publishedFamily({
  sign: '"architectures": ["Gemma3ForConditionalGeneration"]',
  matches: (config) => isTransformers(config, "Gemma3ForConditionalGeneration", "gemma3"),
  schema: TOWERS,
  read({ text_config: text }, file): PublishedModel {
    const within = new CheckpointConfig(text, `${file.source}, "text_config"`);
    return readGemma3(within.check(GEMMA_3), within, {
      prefixes: ["language_model.model", "model.language_model"],
      besides: OTHER_TOWERS,
    });
  },
});

function readGemma3(
  config: v.InferOutput<typeof GEMMA_3>,
  file: CheckpointConfig,
  towers: Pick<TransformersModel, "prefixes" | "besides"> = {},
): PublishedModel {
  const { rope_parameters: rope, rope_local_base_freq: localBase, ...rest } = config;
  // What stretches positions acts on the layers without a window alone.
  const full = { ...rest, rope_parameters: rope?.full_attention };
  const window = { rope_parameters: rope?.sliding_attention, rope_theta: localBase };
  return read(full, file, {
    family: "gemma3",
    every: config.sliding_window_pattern,
    attention: { queryKeyNorm: "head", normEpsilon: config.rms_norm_eps },
    rotary: {
      full: readRotary(full, file, config.head_dim, "whole"),
      window: readRotary(window, file, config.head_dim, "whole"),
    },
    ...towers,
  });
}

interface Gemma extends Pick<TransformersModel, "prefixes" | "besides"> {
  readonly family: string;
  /** One layer in so many has no window. */
  readonly every: number;
  readonly attention: { softCap?: number; queryKeyNorm?: "head"; normEpsilon?: number };
  readonly rotary: Readonly<Record<"full" | "window", RotaryConfiguration>>;
}

const CONFIG = v.object({ ...FIELDS, final_logit_softcapping: capField(null) });

function read(
  config: v.InferOutput<typeof CONFIG>,
  file: CheckpointConfig,
  of: Gemma,
): PublishedModel {
  const { attention_bias: bias, sliding_window: window, final_logit_softcapping: cap } = config;
  const heads = readHeads(config, file);
  const types = layerTypesOf(
    config,
    file,
    { full_attention: "full", sliding_attention: "window" } as const,
    (index) => (index + 1) % of.every === 0 ? "full" : "window",
  );
  const { family, prefixes, besides } = of;
  return readTransformers(config, {
    family,
    prefixes,
    besides,
    embeddingScale: Math.sqrt(config.hidden_size),
    ...(cap !== null && { logitSoftCap: cap }),
    layers: types.map((type): LayerConfiguration => ({
      mixer: {
        kind: "attention",
        ...heads,
        bias,
        outputBias: bias,
        ...of.attention,
        ...scaleRotary(of.rotary[type], heads.headDim, config.query_pre_attn_scalar ** -0.5),
        ...(type === "window" && window !== null && { window }),
      },
      channelMixer: { kind: "geglu", hidden: config.intermediate_size },
      norms: "around",
    })),
    sources: layerSources,
    centredNorms: true,
  });
}

function layerSources(layer: string): Sources {
  return {
    ...normSources(layer, {
      mixer_norm: "input_layernorm",
      mixer_output_norm: "post_attention_layernorm",
      channel_norm: "pre_feedforward_layernorm",
      channel_output_norm: "post_feedforward_layernorm",
    }),
    ...partSources({
      mixer: attentionSources(`${layer}.self_attn`),
      channel_mixer: perceptronSources(`${layer}.mlp`),
    }),
  };
}
