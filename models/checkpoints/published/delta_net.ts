import type { DeltaNetConfiguration } from "../../mixers/delta_net.ts";
import { isTransformers, type PublishedFamily, type PublishedModel } from "./family.ts";
import { readConvolution, readExpanded, readFla, streamSources } from "./fla.ts";

/** DeltaNet (Yang et al. 2024) in flash-linear-attention's layout. */
export const deltaNet: PublishedFamily = {
  sign: '"architectures": ["DeltaNetForCausalLM"]',
  matches: (config) => isTransformers(config, "DeltaNetForCausalLM", "delta_net"),
  read(config): PublishedModel {
    const heads = config.number("num_heads", 16);
    const { keyDim, valueDim } = readExpanded(config, heads, { key: 1, value: 1 });
    const convolution = readConvolution(config, true);
    config.choice("qk_norm", { l2: "l2" }, "l2");
    const mixer: DeltaNetConfiguration = {
      kind: "delta_net",
      heads,
      keyDim,
      valueDim,
      convolution,
      activation: config.choice(
        "qk_activation",
        { silu: "silu", relu: "relu", elu: "elu_plus_one", identity: "none" } as const,
        "silu",
      ),
      fixedStrength: !config.boolean("use_beta", true),
      outputGate: config.boolean("use_gate", false),
      negativeEigenvalues: config.boolean("allow_neg_eigval", false),
      normEpsilon: config.number("norm_eps", 1e-6),
    };
    const keys = heads * keyDim;
    const channels = { query: keys, key: keys, value: heads * valueDim };
    return readFla(config, {
      family: "deltanet",
      mixer,
      hiddenRatio: 4,
      layers: 24,
      sources: (attn) => ({
        ...streamSources(attn, channels, convolution),
        "mixer.beta.weight": `${attn}.b_proj.weight`,
        "mixer.gate.weight": `${attn}.g_proj.weight`,
        "mixer.norm.weight": `${attn}.o_norm.weight`,
        "mixer.output.weight": `${attn}.o_proj.weight`,
      }),
    });
  },
};
