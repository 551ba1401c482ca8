import * as v from "valibot";
import type { DeltaNetConfiguration } from "../../mixers/delta_net.ts";
import { FLAG, HEADS, integer, LAYERS, POSITIVE, SIZE } from "../../schema.ts";
import {
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
} from "./family.ts";
import { CONVOLUTION_FIELDS, FLA_FIELDS, readFla } from "./fla.ts";
import { gatedDeltaNetSources } from "./gated_deltanet.ts";

const CONFIG = v.object({
  ...FLA_FIELDS,
  ...CONVOLUTION_FIELDS,
  num_hidden_layers: v.nullish(LAYERS, 21),
  num_heads: v.nullish(HEADS, 6),
  head_dim: v.nullish(SIZE, 256),
  expand_v: v.nullish(POSITIVE, 2),
  use_short_conv: v.nullish(FLAG, true),
  use_output_gate: v.nullish(FLAG, true),
  use_forget_gate: v.nullish(FLAG, false),
  allow_neg_eigval: v.nullish(FLAG, false),
  num_householder: v.nullish(integer(1, 64), 1),
});

/** DeltaProduct (Siems et al. 2025), gated or not, in flash-linear-attention's layout. */
export const gatedDeltaProduct: PublishedFamily = publishedFamily({
  sign: '"architectures": ["GatedDeltaProductForCausalLM"]',
  matches: (config) => isTransformers(config, "GatedDeltaProductForCausalLM", "gated_deltaproduct"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { num_heads: heads, head_dim: keyDim, num_householder: steps } = config;
    const valueDim = Math.trunc(keyDim * config.expand_v);
    const convolution = config.use_short_conv ? config.conv_size : 0;
    const mixer: DeltaNetConfiguration = {
      kind: config.use_forget_gate ? "gated_delta_net" : "delta_net",
      heads,
      keyDim,
      valueDim,
      steps,
      convolution,
      outputGate: config.use_output_gate,
      negativeEigenvalues: config.allow_neg_eigval,
      normEpsilon: config.norm_eps,
    };
    const channels = {
      query: heads * keyDim,
      key: steps * heads * keyDim,
      value: steps * heads * valueDim,
    };
    return readFla(config, file, {
      family: "deltaproduct",
      mixer,
      sources: (attn) => gatedDeltaNetSources(attn, channels, convolution),
    });
  },
});
