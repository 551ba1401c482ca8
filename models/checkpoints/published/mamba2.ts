import type { LayerConfiguration } from "../../configuration.ts";
import type { Mamba2Configuration } from "../../mixers/mamba2.ts";
import type { CheckpointConfig } from "./config.ts";
import {
  convolutionSource,
  isTransformers,
  type ParameterSource,
  type PublishedFamily,
  type PublishedModel,
  sourcesOf,
} from "./family.ts";

/** Mamba-2 in transformers' layout. */
export const mamba2: PublishedFamily = {
  sign: '"architectures": ["Mamba2ForCausalLM"]',
  matches: (config) => isTransformers(config, "Mamba2ForCausalLM", "mamba2"),
  read(config): PublishedModel {
    const count = config.number("num_hidden_layers");
    const tiedHead = config.boolean("tie_word_embeddings", false);
    const epsilon = config.number("layer_norm_epsilon", 1e-5);
    config.choice("hidden_act", { silu: "silu" }, "silu");
    const mixer: Mamba2Configuration = {
      kind: "mamba2",
      heads: config.number("num_heads", 128),
      headDim: config.number("head_dim", 64),
      stateDim: config.number("state_size", 128),
      groups: config.number("n_groups", 8),
      convolution: config.number("conv_kernel", 4),
      convolutionBias: config.boolean("use_conv_bias", true),
      bias: config.boolean("use_bias", false),
      normEpsilon: epsilon,
      ...readStepLimit(config, "time_step_limit"),
    };
    const layer: LayerConfiguration = { mixer };
    return {
      configuration: {
        family: "mamba2",
        vocabulary: config.number("vocab_size"),
        width: config.number("hidden_size"),
        normEpsilon: epsilon,
        tiedHead,
        layers: Array(count).fill(layer),
      },
      sources: sourcesOf(
        {
          "embedding.weight": "backbone.embeddings.weight",
          "norm.weight": "backbone.norm_f.weight",
          "head.weight": "lm_head.weight",
        },
        Array.from({ length: count }, (_, index) => mamba2Layer(`backbone.layers.${index}`, mixer)),
      ),
      ...(tiedHead && { besides: /^lm_head\.weight$/ }),
    };
  },
};

/**
 * The bounds of Δ that bind: it is positive, and may be unbounded above.
 *
 * @throws {Error} where they are not two numbers.
 */
export function readStepLimit(
  config: CheckpointConfig,
  key: string,
): Pick<Mamba2Configuration, "stepLimit"> {
  const [low, high] = config.list(key, [0, Infinity]).map((bound) => boundOf(bound));
  if (Number.isNaN(low) || Number.isNaN(high)) {
    config.fail(
      `"${key}" must be two numbers: current value is ${JSON.stringify(config.values[key])}`,
    );
  }
  const stepLimit = { ...(low > 0 && { low }), ...(high < Infinity && { high }) };
  return Object.keys(stepLimit).length > 0 ? { stepLimit } : {};
}

/** A number; transformers writes an infinite one as `{"__float__": "Infinity"}`. */
function boundOf(value: unknown): number {
  if (typeof value === "object" && value !== null && "__float__" in value) {
    return Number(value.__float__);
  }
  return typeof value === "number" ? value : NaN;
}

/** Where a Mamba-2 layer's parameters are, in transformers' layout and in mamba_ssm's. */
export function mamba2Layer(
  layer: string,
  mixer: Mamba2Configuration,
): Record<string, string | ParameterSource> {
  const { heads, headDim, stateDim, groups = 1, convolution: taps = 4 } = mixer;
  const channels = heads * headDim + 2 * groups * stateDim;
  return {
    "mixer_norm.weight": `${layer}.norm.weight`,
    "mixer_norm.bias": `${layer}.norm.bias`,
    "mixer.input.weight": `${layer}.mixer.in_proj.weight`,
    "mixer.input.bias": `${layer}.mixer.in_proj.bias`,
    "mixer.convolution.weight": convolutionSource(`${layer}.mixer.conv1d.weight`, channels, taps),
    "mixer.convolution.bias": `${layer}.mixer.conv1d.bias`,
    "mixer.decay": `${layer}.mixer.A_log`,
    "mixer.step_bias": `${layer}.mixer.dt_bias`,
    "mixer.skip": `${layer}.mixer.D`,
    "mixer.norm.weight": `${layer}.mixer.norm.weight`,
    "mixer.output.weight": `${layer}.mixer.out_proj.weight`,
    "mixer.output.bias": `${layer}.mixer.out_proj.bias`,
  };
}
