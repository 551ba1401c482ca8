import * as v from "valibot";
import type { KdaConfiguration } from "../../mixers/kda.ts";
import { FLAG, HEADS, NUMBER, POSITIVE, SIZE } from "../../schema.ts";
import {
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
} from "./family.ts";
import { CONVOLUTION_FIELDS, FLA_FIELDS, readFla, streamSources } from "./fla.ts";

const CONFIG = v.object({
  ...FLA_FIELDS,
  ...CONVOLUTION_FIELDS,
  num_heads: v.nullish(HEADS, 16),
  num_v_heads: v.nullish(HEADS),
  head_dim: v.nullish(SIZE, 128),
  expand_v: v.nullish(POSITIVE, 1),
  use_short_conv: v.nullish(FLAG, true),
  allow_neg_eigval: v.nullish(FLAG, false),
  /** The lowest log decay. */
  lower_bound: v.nullish(NUMBER),
});

/** Kimi Delta Attention (Kimi Team 2025) in flash-linear-attention's layout. */
export const kda: PublishedFamily = publishedFamily({
  sign: '"architectures": ["KDAForCausalLM"]',
  matches: (config) => isTransformers(config, "KDAForCausalLM", "kda"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { num_heads: keyHeads, head_dim: keyDim, lower_bound: lowest } = config;
    const heads = config.num_v_heads ?? keyHeads;
    file.divide({ num_v_heads: heads }, { num_heads: keyHeads });
    const valueDim = Math.trunc(keyDim * config.expand_v);
    const convolution = config.use_short_conv ? config.conv_size : 0;
    const mixer: KdaConfiguration = {
      kind: "kda",
      heads,
      keyHeads,
      keyDim,
      valueDim,
      convolution,
      negativeEigenvalues: config.allow_neg_eigval,
      normEpsilon: config.norm_eps,
      ...(typeof lowest === "number" && { lowestLogDecay: lowest }),
    };
    const keys = keyHeads * keyDim;
    const channels = { query: keys, key: keys, value: heads * valueDim };
    return readFla(config, file, {
      family: "kda",
      mixer,
      sources: (attn) => ({
        ...streamSources(attn, channels, convolution),
        "mixer.beta.weight": `${attn}.b_proj.weight`,
        "mixer.decay.down.weight": `${attn}.f_proj.0.weight`,
        "mixer.decay.up.weight": `${attn}.f_proj.1.weight`,
        "mixer.decay.rate": `${attn}.A_log`,
        "mixer.decay.bias": `${attn}.dt_bias`,
        "mixer.gate.down.weight": `${attn}.g_proj.0.weight`,
        "mixer.gate.up.weight": `${attn}.g_proj.1.weight`,
        "mixer.gate.up.bias": `${attn}.g_proj.1.bias`,
        "mixer.norm.weight": `${attn}.o_norm.weight`,
        "mixer.output.weight": `${attn}.o_proj.weight`,
      }),
    });
  },
});
