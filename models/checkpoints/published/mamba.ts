import type { LayerConfiguration } from "../../configuration.ts";
import {
  convolutionSource,
  isTransformers,
  type ParameterSource,
  type PublishedFamily,
  type PublishedModel,
  sourcesOf,
} from "./family.ts";

/** Mamba in transformers' layout. */
export const mamba: PublishedFamily = {
  sign: '"architectures": ["MambaForCausalLM"]',
  matches: (config) => isTransformers(config, "MambaForCausalLM", "mamba"),
  read(config): PublishedModel {
    const width = config.number("hidden_size");
    const count = config.number("num_hidden_layers");
    const tiedHead = config.boolean("tie_word_embeddings", true);
    const taps = config.number("conv_kernel", 4);
    const inner = config.number("intermediate_size", config.number("expand", 2) * width);
    config.choice("hidden_act", { silu: "silu" }, "silu");
    const layer: LayerConfiguration = {
      mixer: {
        kind: "mamba1",
        inner,
        stateDim: config.number("state_size", 16),
        stepRank: config.values.time_step_rank === "auto"
          ? Math.ceil(width / 16)
          : config.number("time_step_rank", Math.ceil(width / 16)),
        convolution: taps,
        convolutionBias: config.boolean("use_conv_bias", true),
        bias: config.boolean("use_bias", false),
      },
    };
    return {
      configuration: {
        family: "mamba1",
        vocabulary: config.number("vocab_size"),
        width,
        normEpsilon: config.number("layer_norm_epsilon", 1e-5),
        tiedHead,
        layers: Array(count).fill(layer),
      },
      sources: sourcesOf(
        {
          "embedding.weight": "backbone.embeddings.weight",
          "norm.weight": "backbone.norm_f.weight",
          "head.weight": "lm_head.weight",
        },
        Array.from(
          { length: count },
          (_, index) => mambaLayer(`backbone.layers.${index}`, inner, taps),
        ),
      ),
      ...(tiedHead && { besides: /^lm_head\.weight$/ }),
    };
  },
};

/** Where a Mamba layer's parameters are, in transformers' layout and in mamba_ssm's. */
export function mambaLayer(
  layer: string,
  inner: number,
  taps: number,
): Record<string, string | ParameterSource> {
  return {
    "mixer_norm.weight": `${layer}.norm.weight`,
    "mixer_norm.bias": `${layer}.norm.bias`,
    "mixer.input.weight": `${layer}.mixer.in_proj.weight`,
    "mixer.input.bias": `${layer}.mixer.in_proj.bias`,
    "mixer.convolution.weight": convolutionSource(`${layer}.mixer.conv1d.weight`, inner, taps),
    "mixer.convolution.bias": `${layer}.mixer.conv1d.bias`,
    "mixer.select.weight": `${layer}.mixer.x_proj.weight`,
    "mixer.step.weight": `${layer}.mixer.dt_proj.weight`,
    "mixer.step.bias": `${layer}.mixer.dt_proj.bias`,
    "mixer.decay": `${layer}.mixer.A_log`,
    "mixer.skip": `${layer}.mixer.D`,
    "mixer.output.weight": `${layer}.mixer.out_proj.weight`,
    "mixer.output.bias": `${layer}.mixer.out_proj.bias`,
  };
}
