import type { DeltaNetConfiguration } from "../../mixers/delta_net.ts";
import { isTransformers, type PublishedFamily, type PublishedModel } from "./family.ts";
import { readConvolution, readFla, streamSources } from "./fla.ts";

/** Gated DeltaNet (Yang et al. 2025) in flash-linear-attention's layout. */
export const gatedDeltaNet: PublishedFamily = {
  sign: '"architectures": ["GatedDeltaNetForCausalLM"]',
  matches: (config) => isTransformers(config, "GatedDeltaNetForCausalLM", "gated_deltanet"),
  read(config): PublishedModel {
    const keyHeads = config.number("num_heads", 6);
    const heads = config.number("num_v_heads", keyHeads);
    if (heads % keyHeads !== 0) {
      config.fail(
        `"num_v_heads" must be a multiple of "num_heads" (${keyHeads}): current value is ${heads}`,
      );
    }
    const keyDim = config.number("head_dim", 256);
    const valueDim = Math.trunc(keyDim * config.number("expand_v", 2));
    const convolution = readConvolution(config, true);
    const mixer: DeltaNetConfiguration = {
      kind: "gated_delta_net",
      heads,
      keyHeads,
      keyDim,
      valueDim,
      convolution,
      outputGate: config.boolean("use_gate", true),
      negativeEigenvalues: config.boolean("allow_neg_eigval", false),
      normEpsilon: config.number("norm_eps", 1e-6),
    };
    const keys = keyHeads * keyDim;
    const channels = { query: keys, key: keys, value: heads * valueDim };
    return readFla(config, {
      family: "gated-deltanet",
      mixer,
      hiddenRatio: 4,
      layers: 21,
      sources: (attn) => ({
        ...streamSources(attn, channels, convolution),
        "mixer.beta.weight": `${attn}.b_proj.weight`,
        "mixer.decay.weight": `${attn}.a_proj.weight`,
        "mixer.decay.rate": `${attn}.A_log`,
        "mixer.decay.bias": `${attn}.dt_bias`,
        "mixer.gate.weight": `${attn}.g_proj.weight`,
        "mixer.norm.weight": `${attn}.o_norm.weight`,
        "mixer.output.weight": `${attn}.o_proj.weight`,
      }),
    });
  },
};
