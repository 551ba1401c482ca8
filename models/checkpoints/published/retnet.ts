import type { ActivationKind } from "../../../kernels/activation/mod.ts";
import type { RetNetConfiguration } from "../../mixers/retnet.ts";
import { isTransformers, type PublishedFamily, type PublishedModel } from "./family.ts";
import {
  gatedNormName,
  readExpanded,
  readFla,
  readKeyHeads,
  refuseUnless,
  streamSources,
} from "./fla.ts";

/** transformers' names of activations, which RetNet takes here. */
const FEATURE_MAPS: Readonly<Record<string, ActivationKind>> = {
  relu: "relu",
  relu2: "relu_squared",
  sigmoid: "sigmoid",
  tanh: "tanh",
  silu: "silu",
  swish: "silu",
  gelu: "gelu_exact",
  gelu_new: "gelu",
  gelu_pytorch_tanh: "gelu",
};

/**
 * RetNet (Sun et al. 2023) in flash-linear-attention's layout. fla's model does not hand
 * `use_short_conv` on to its layer, so that it has no convolution whatever the config says.
 */
export const retNet: PublishedFamily = {
  sign: '"architectures": ["RetNetForCausalLM"]',
  matches: (config) => isTransformers(config, "RetNetForCausalLM", "retnet"),
  read(config): PublishedModel {
    const heads = config.number("num_heads", 8);
    const keyHeads = readKeyHeads(config, heads);
    const { keyDim, valueDim } = readExpanded(config, heads, { key: 1, value: 2 });
    refuseUnless(config, "elementwise_affine", true);
    const mixer: RetNetConfiguration = {
      kind: "retnet",
      heads,
      keyHeads,
      keyDim,
      valueDim,
      outputGate: config.boolean("use_output_gate", true),
      normEpsilon: config.number("norm_eps", 1e-6),
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
      family: "retnet",
      mixer,
      hiddenRatio: 2,
      layers: 24,
      sources: (attn) => ({
        ...streamSources(attn, channels, 0),
        "mixer.gate.weight": `${attn}.g_proj.weight`,
        "mixer.norm.weight": `${attn}.${gatedNormName(config)}.weight`,
        "mixer.output.weight": `${attn}.o_proj.weight`,
      }),
    });
  },
};
