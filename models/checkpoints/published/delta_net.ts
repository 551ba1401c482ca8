import * as v from "valibot";
import type { DeltaNetConfiguration } from "../../mixers/delta_net.ts";
import { FLAG, HEADS, namesOf, oneOf, POSITIVE } from "../../schema.ts";
import {
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
} from "./family.ts";
import { CONVOLUTION_FIELDS, FLA_FIELDS, readExpanded, readFla, streamSources } from "./fla.ts";

const ACTIVATIONS = { silu: "silu", relu: "relu", elu: "elu_plus_one", identity: "none" } as const;

const CONFIG = v.object({
  ...FLA_FIELDS,
  ...CONVOLUTION_FIELDS,
  num_heads: v.nullish(HEADS, 16),
  expand_k: v.nullish(POSITIVE, 1),
  expand_v: v.nullish(POSITIVE, 1),
  use_short_conv: v.nullish(FLAG, true),
  qk_norm: v.nullish(oneOf(["l2"])),
  qk_activation: v.nullish(oneOf(namesOf(ACTIVATIONS)), "silu"),
  use_beta: v.nullish(FLAG, true),
  use_gate: v.nullish(FLAG, false),
  allow_neg_eigval: v.nullish(FLAG, false),
});

/** DeltaNet (Yang et al. 2024) in flash-linear-attention's layout. */
export const deltaNet: PublishedFamily = publishedFamily({
  sign: '"architectures": ["DeltaNetForCausalLM"]',
  matches: (config) => isTransformers(config, "DeltaNetForCausalLM", "delta_net"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { num_heads: heads } = config;
    const { keyDim, valueDim } = readExpanded(config, file, heads);
    const convolution = config.use_short_conv ? config.conv_size : 0;
    const mixer: DeltaNetConfiguration = {
      kind: "delta_net",
      heads,
      keyDim,
      valueDim,
      convolution,
      activation: ACTIVATIONS[config.qk_activation],
      fixedStrength: !config.use_beta,
      outputGate: config.use_gate,
      negativeEigenvalues: config.allow_neg_eigval,
      normEpsilon: config.norm_eps,
    };
    const keys = heads * keyDim;
    const channels = { query: keys, key: keys, value: heads * valueDim };
    return readFla(config, file, {
      family: "deltanet",
      mixer,
      sources: (attn) => ({
        ...streamSources(attn, channels, convolution),
        "mixer.beta.weight": `${attn}.b_proj.weight`,
        "mixer.gate.weight": `${attn}.g_proj.weight`,
        "mixer.norm.weight": `${attn}.o_norm.weight`,
        "mixer.output.weight": `${attn}.o_proj.weight`,
      }),
    });
  },
});
