import * as v from "valibot";
import type { DeltaNetConfiguration } from "../../mixers/delta_net.ts";
import { FLAG, HEADS, LAYERS, POSITIVE, SIZE } from "../../schema.ts";
import {
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
} from "./family.ts";
import { CONVOLUTION_FIELDS, FLA_FIELDS, readFla, streamSources } from "./fla.ts";
import type { Sources } from "./transformers.ts";

const CONFIG = v.object({
  ...FLA_FIELDS,
  ...CONVOLUTION_FIELDS,
  num_hidden_layers: v.nullish(LAYERS, 21),
  num_heads: v.nullish(HEADS, 6),
  num_v_heads: v.nullish(HEADS),
  head_dim: v.nullish(SIZE, 256),
  expand_v: v.nullish(POSITIVE, 2),
  use_short_conv: v.nullish(FLAG, true),
  use_gate: v.nullish(FLAG, true),
  allow_neg_eigval: v.nullish(FLAG, false),
});

/** Gated DeltaNet (Yang et al. 2025) in flash-linear-attention's layout. */
export const gatedDeltaNet: PublishedFamily = publishedFamily({
  sign: '"architectures": ["GatedDeltaNetForCausalLM"]',
  matches: (config) => isTransformers(config, "GatedDeltaNetForCausalLM", "gated_deltanet"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { num_heads: keyHeads, head_dim: keyDim } = config;
    const heads = config.num_v_heads ?? keyHeads;
    if (heads % keyHeads !== 0) {
      file.fail(
        `"num_v_heads" must be a multiple of "num_heads" (${keyHeads}): current value is ${heads}`,
      );
    }
    const valueDim = Math.trunc(keyDim * config.expand_v);
    const convolution = config.use_short_conv ? config.conv_size : 0;
    const mixer: DeltaNetConfiguration = {
      kind: "gated_delta_net",
      heads,
      keyHeads,
      keyDim,
      valueDim,
      convolution,
      outputGate: config.use_gate,
      negativeEigenvalues: config.allow_neg_eigval,
      normEpsilon: config.norm_eps,
    };
    const keys = keyHeads * keyDim;
    const channels = { query: keys, key: keys, value: heads * valueDim };
    return readFla(config, file, {
      family: "gated-deltanet",
      mixer,
      sources: (attn) => gatedDeltaNetSources(attn, channels, convolution),
    });
  },
});

/**
 * Where a Gated DeltaNet's parameters are.
 *
 * @param channels The widths of its streams, behind convolutions of `taps`.
 */
export function gatedDeltaNetSources(
  attn: string,
  channels: { readonly query: number; readonly key: number; readonly value: number },
  taps: number,
): Sources {
  return {
    ...streamSources(attn, channels, taps),
    "mixer.beta.weight": `${attn}.b_proj.weight`,
    "mixer.decay.weight": `${attn}.a_proj.weight`,
    "mixer.decay.rate": `${attn}.A_log`,
    "mixer.decay.bias": `${attn}.dt_bias`,
    "mixer.gate.weight": `${attn}.g_proj.weight`,
    "mixer.norm.weight": `${attn}.o_norm.weight`,
    "mixer.output.weight": `${attn}.o_proj.weight`,
  };
}
