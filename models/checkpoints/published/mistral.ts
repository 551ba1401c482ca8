import * as v from "valibot";
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
  windowField,
} from "./transformers.ts";

const CONFIG = v.object({ ...TRANSFORMER_FIELDS, sliding_window: windowField(4096) });

/** Mistral in transformers' layout: with a window in version 0.1, without one since. */
export const mistral: PublishedFamily = publishedFamily({
  sign: '"architectures": ["MistralForCausalLM"]',
  matches: (config) => isTransformers(config, "MistralForCausalLM", "mistral"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const heads = readHeads(config, file);
    const window = config.sliding_window;
    return readTransformers(config, {
      family: "mistral",
      layers: Array(config.num_hidden_layers).fill({
        mixer: {
          kind: "attention",
          ...heads,
          ...readRotary(config, file, heads.headDim, "whole"),
          ...(window !== null && { window }),
        },
        channelMixer: { kind: "swiglu", hidden: config.intermediate_size },
      }),
      sources: transformerLayer,
    });
  },
});
