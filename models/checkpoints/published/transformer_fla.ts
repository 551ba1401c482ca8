import * as v from "valibot";
import type { AttentionConfiguration } from "../../mixers/attention.ts";
import { FLAG, HEADS, LENGTH, POSITIVE } from "../../schema.ts";
import {
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
} from "./family.ts";
import { FLA_FIELDS, flaAttentionSources, readFla } from "./fla.ts";

/** What the norms of queries and keys add, whatever `norm_eps` says. */
const QUERY_KEY_EPSILON = 1e-5;

const CONFIG = v.object({
  ...FLA_FIELDS,
  num_heads: v.nullish(HEADS, 32),
  num_kv_heads: v.nullish(HEADS),
  qkv_bias: v.nullish(FLAG, false),
  qk_norm: v.nullish(FLAG, false),
  window_size: v.nullish(LENGTH),
  rope_theta: v.nullish(POSITIVE, 10_000),
});

/** The Transformer++ that flash-linear-attention's matched sets have beside the linear RNNs. */
export const transformerFla: PublishedFamily = publishedFamily({
  sign: '"architectures": ["TransformerForCausalLM"]',
  matches: (config) => isTransformers(config, "TransformerForCausalLM", "transformer"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { hidden_size: width, num_heads: heads, window_size: window } = config;
    const keyHeads = config.num_kv_heads ?? heads;
    file.divide({ num_heads: heads }, { num_kv_heads: keyHeads });
    const mixer: AttentionConfiguration = {
      kind: "attention",
      heads,
      keyHeads,
      headDim: file.divide({ hidden_size: width }, { num_heads: heads }),
      rotaryBase: config.rope_theta,
      bias: config.qkv_bias,
      ...(typeof window === "number" && { window }),
      ...(config.qk_norm && { queryKeyNorm: "head", normEpsilon: QUERY_KEY_EPSILON }),
    };
    return readFla(config, file, { family: "transformer", mixer, sources: flaAttentionSources });
  },
});
