import * as v from "valibot";
import { FLAG, namesOf, oneOf } from "../../schema.ts";
import {
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
} from "./family.ts";
import { readRotary } from "./rotary.ts";
import {
  readHeads,
  readTransformers,
  TRANSFORMER_FIELDS,
  transformerLayer,
} from "./transformers.ts";

const PERCEPTRONS = { silu: "swiglu", gelu_pytorch_tanh: "geglu" } as const;

const CONFIG = v.object({
  ...TRANSFORMER_FIELDS,
  hidden_act: v.nullish(oneOf(namesOf(PERCEPTRONS)), "silu"),
  attention_bias: v.nullish(FLAG, false),
  mlp_bias: v.nullish(FLAG, false),
});

/** Llama in transformers' layout: Llama 2 and 3, Sheared-LLaMA, TinyLlama, SmolLM. */
export const llama: PublishedFamily = publishedFamily({
  sign: '"architectures": ["LlamaForCausalLM"]',
  matches: (config) => isTransformers(config, "LlamaForCausalLM", "llama"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { attention_bias: bias } = config;
    const heads = readHeads(config, file);
    return readTransformers(config, {
      family: "llama",
      layers: Array(config.num_hidden_layers).fill({
        mixer: {
          kind: "attention",
          ...heads,
          bias,
          outputBias: bias,
          ...readRotary(config, file, heads.headDim, "whole"),
        },
        channelMixer: {
          kind: PERCEPTRONS[config.hidden_act],
          hidden: config.intermediate_size,
          bias: config.mlp_bias,
        },
      }),
      sources: transformerLayer,
    });
  },
});
