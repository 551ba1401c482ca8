import * as v from "valibot";
import type { LayerConfiguration } from "../../configuration.ts";
import type { Mamba1Configuration } from "../../mixers/mamba1.ts";
import { FLAG, LAYERS, oneOf, POSITIVE, SIZE, VOCABULARY } from "../../schema.ts";
import {
  convolutionSource,
  isTransformers,
  type ParameterSource,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
  sourcesOf,
} from "./family.ts";

const RANK = v.nullish(v.union([v.literal("auto"), SIZE], 'a positive integer or "auto"'));

const FIELDS = {
  vocab_size: VOCABULARY,
  hidden_size: SIZE,
  intermediate_size: v.nullish(SIZE),
  num_hidden_layers: LAYERS,
  state_size: v.nullish(SIZE, 16),
  expand: v.nullish(SIZE, 2),
  conv_kernel: v.nullish(SIZE, 4),
  time_step_rank: RANK,
  hidden_act: v.nullish(oneOf(["silu"])),
  use_bias: v.nullish(FLAG, false),
  use_conv_bias: v.nullish(FLAG, true),
  layer_norm_epsilon: v.nullish(POSITIVE, 1e-5),
  tie_word_embeddings: v.nullish(FLAG, true),
  // As flash-linear-attention calls them.
  dt_rank: RANK,
  norm_eps: v.nullish(POSITIVE),
};
const MAMBA = v.object(FIELDS);
const FALCON = v.object({ ...FIELDS, mixer_rms_eps: v.nullish(POSITIVE, 1e-6) });

/** Mamba in transformers' layout, which flash-linear-attention's is but for some names in its config. */
export const mamba: PublishedFamily = publishedFamily({
  sign: '"architectures": ["MambaForCausalLM"]',
  matches: (config) => isTransformers(config, "MambaForCausalLM", "mamba"),
  schema: MAMBA,
  read: (config) => read(config, "mamba1"),
});

/** Falcon Mamba in transformers' layout: what Δ is projected from, B and C are normed without weights. */
export const falconMamba: PublishedFamily = publishedFamily({
  sign: '"architectures": ["FalconMambaForCausalLM"]',
  matches: (config) => isTransformers(config, "FalconMambaForCausalLM", "falcon_mamba"),
  schema: FALCON,
  read: (config) => read(config, "falcon-mamba", { selectionEpsilon: config.mixer_rms_eps }),
});

function read(
  config: v.InferOutput<typeof MAMBA>,
  family: string,
  of: Pick<Mamba1Configuration, "selectionEpsilon"> = {},
): PublishedModel {
  const { hidden_size: width, num_hidden_layers: count, conv_kernel: taps } = config;
  const stepRank = config.dt_rank ?? config.time_step_rank;
  const inner = config.intermediate_size ?? config.expand * width;
  const layer: LayerConfiguration = {
    mixer: {
      kind: "mamba1",
      inner,
      stateDim: config.state_size,
      stepRank: typeof stepRank === "number" ? stepRank : Math.ceil(width / 16),
      convolution: taps,
      convolutionBias: config.use_conv_bias,
      bias: config.use_bias,
      ...of,
    },
  };
  return {
    configuration: {
      family,
      vocabulary: config.vocab_size,
      width,
      normEpsilon: config.norm_eps ?? config.layer_norm_epsilon,
      tiedHead: config.tie_word_embeddings,
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
  };
}

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
