import type { ActivationKind } from "../../../kernels/activation/mod.ts";
import type { GlaConfiguration } from "../../mixers/gla.ts";
import { isTransformers, type PublishedFamily, type PublishedModel } from "./family.ts";
import {
  gatedNormName,
  readConvolution,
  readExpanded,
  readFla,
  readKeyHeads,
  refuseUnless,
  streamSources,
} from "./fla.ts";

/** fla's own names of activations; its gelu is the tanh approximation. */
const FEATURE_MAPS: Readonly<Record<string, ActivationKind>> = {
  relu: "relu",
  sigmoid: "sigmoid",
  logsigmoid: "log_sigmoid",
  silu: "silu",
  swish: "silu",
  sqrelu: "relu_squared",
  gelu: "gelu",
};

/** Gated linear attention (Yang et al. 2024) in flash-linear-attention's layout. */
export const gla: PublishedFamily = {
  sign: '"architectures": ["GLAForCausalLM"]',
  matches: (config) => isTransformers(config, "GLAForCausalLM", "gla"),
  read(config): PublishedModel {
    const heads = config.number("num_heads", 4);
    const keyHeads = readKeyHeads(config, heads);
    const { keyDim, valueDim } = readExpanded(config, heads, { key: 0.5, value: 1 });
    const convolution = readConvolution(config, false);
    refuseUnless(config, "elementwise_affine", true);
    refuseUnless(config, "gate_logit_normalizer", 16);
    const mixer: GlaConfiguration = {
      kind: "gla",
      heads,
      keyHeads,
      keyDim,
      valueDim,
      convolution,
      gateRank: config.number("gate_low_rank_dim", 16),
      outputGate: config.boolean("use_output_gate", true),
      normEpsilon: config.number("norm_eps", 1e-6),
      ...(config.has("clamp_min") && { lowestLogDecay: config.number("clamp_min") }),
      ...(config.has("feature_map") && {
        featureMap: config.choice("feature_map", FEATURE_MAPS, ""),
      }),
    };
    const channels = {
      query: heads * keyDim,
      key: keyHeads * keyDim,
      value: keyHeads * valueDim,
    };
    return readFla(config, {
      family: "gla",
      mixer,
      hiddenRatio: 4,
      layers: 24,
      sources: (attn) => ({
        ...streamSources(attn, channels, convolution),
        "mixer.decay.down.weight": `${attn}.gk_proj.0.weight`,
        "mixer.decay.up.weight": `${attn}.gk_proj.1.weight`,
        "mixer.decay.bias": `${attn}.gk_proj.1.bias`,
        "mixer.gate.weight": `${attn}.g_proj.weight`,
        "mixer.norm.weight": `${attn}.${gatedNormName(config)}.weight`,
        "mixer.output.weight": `${attn}.o_proj.weight`,
      }),
    });
  },
};
