import type { LayerConfiguration } from "../../configuration.ts";
import type { CheckpointConfig } from "./config.ts";
import { isTransformers, type PublishedFamily, type PublishedModel, sourcesOf } from "./family.ts";
import { readRotary } from "./rotary.ts";

/** Llama in transformers' layout: Llama 2 and 3, Sheared-LLaMA, TinyLlama, SmolLM. */
export const llama: PublishedFamily = {
  sign: '"architectures": ["LlamaForCausalLM"]',
  matches: (config) => isTransformers(config, "LlamaForCausalLM", "llama"),
  read(config): PublishedModel {
    const width = config.number("hidden_size");
    const heads = config.number("num_attention_heads");
    const headDim = config.number("head_dim", width / heads);
    const bias = config.boolean("attention_bias", false);
    const count = config.number("num_hidden_layers");
    const tiedHead = config.boolean("tie_word_embeddings", false);
    const layer: LayerConfiguration = {
      mixer: {
        kind: "attention",
        heads,
        keyHeads: config.number("num_key_value_heads", heads),
        headDim,
        bias,
        outputBias: bias,
        ...readRotary(config, headDim, 1),
      },
      channelMixer: {
        kind: config.choice("hidden_act", { silu: "swiglu", gelu_pytorch_tanh: "geglu" }, "silu"),
        hidden: config.number("intermediate_size"),
        bias: config.boolean("mlp_bias", false),
      },
    };
    return {
      trainedLength: readTrainedLength(config),
      configuration: {
        family: "llama",
        vocabulary: config.number("vocab_size"),
        width,
        normEpsilon: config.number("rms_norm_eps", 1e-6),
        tiedHead,
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
      besides: tiedHead ? /^lm_head\.weight$|\.rotary_emb\.inv_freq$/ : /\.rotary_emb\.inv_freq$/,
    };
  },
};

/** The positions before any scaling was stretched over them. */
function readTrainedLength(config: CheckpointConfig): number | undefined {
  const { rope_scaling: scaling } = config.values as { rope_scaling?: Record<string, unknown> };
  const original = scaling?.original_max_position_embeddings;
  if (typeof original === "number") return original;
  return config.has("max_position_embeddings")
    ? config.number("max_position_embeddings")
    : undefined;
}

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
