import * as v from "valibot";
import type { LayerConfiguration } from "../../configuration.ts";
import type { Mamba2Configuration } from "../../mixers/mamba2.ts";
import {
  FLAG,
  HEADS,
  LAYERS,
  oneOf,
  POSITIVE,
  type Schema,
  SIZE,
  VOCABULARY,
} from "../../schema.ts";
import type { CheckpointConfig } from "./config.ts";
import {
  convolutionSource,
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
  sourcesOf,
} from "./family.ts";
import { partSources, projectionSources, type Sources } from "./transformers.ts";

/** A number; transformers writes an infinite one as `{"__float__": "Infinity"}`. */
const BOUND: Schema<number> = v.union([
  v.number(),
  v.pipe(
    v.object({ __float__: v.string() }),
    v.transform(({ __float__ }) => Number(__float__)),
    v.number(),
  ),
], "a number");

/** The least and the most that Δ may be. */
export const STEP_LIMIT: Schema<[low: number, high: number]> = v.nullish(
  v.tuple([BOUND, BOUND], "two numbers"),
  [0, Infinity],
) as Schema<[low: number, high: number]>;

const CONFIG = v.object({
  vocab_size: VOCABULARY,
  hidden_size: SIZE,
  num_hidden_layers: LAYERS,
  num_heads: v.nullish(HEADS, 128),
  head_dim: v.nullish(SIZE, 64),
  state_size: v.nullish(SIZE, 128),
  n_groups: v.nullish(HEADS, 8),
  conv_kernel: v.nullish(SIZE, 4),
  time_step_limit: STEP_LIMIT,
  hidden_act: v.nullish(oneOf(["silu"])),
  use_bias: v.nullish(FLAG, false),
  use_conv_bias: v.nullish(FLAG, true),
  layer_norm_epsilon: v.nullish(POSITIVE, 1e-5),
  tie_word_embeddings: v.nullish(FLAG, false),
});

/** Mamba-2 in transformers' layout. */
export const mamba2: PublishedFamily = publishedFamily({
  sign: '"architectures": ["Mamba2ForCausalLM"]',
  matches: (config) => isTransformers(config, "Mamba2ForCausalLM", "mamba2"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { num_hidden_layers: count, layer_norm_epsilon: epsilon, num_heads: heads } = config;
    file.divide({ num_heads: heads }, { n_groups: config.n_groups });
    const mixer: Mamba2Configuration = {
      kind: "mamba2",
      heads,
      headDim: config.head_dim,
      stateDim: config.state_size,
      groups: config.n_groups,
      // As trained (mamba_ssm: group_size = d_ssm // ngroups), where transformers norms all at once.
      normGroups: config.n_groups,
      convolution: config.conv_kernel,
      convolutionBias: config.use_conv_bias,
      bias: config.use_bias,
      normEpsilon: epsilon,
      ...stepLimitOf(config.time_step_limit),
    };
    const layer: LayerConfiguration = { mixer };
    return {
      configuration: {
        family: "mamba2",
        vocabulary: config.vocab_size,
        width: config.hidden_size,
        normEpsilon: epsilon,
        tiedHead: config.tie_word_embeddings,
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
    };
  },
});

/** The bounds of Δ that bind: it is positive, and may be unbounded above. */
export function stepLimitOf(
  [low, high]: readonly [low: number, high: number],
): Pick<Mamba2Configuration, "stepLimit"> {
  const stepLimit = { ...(low > 0 && { low }), ...(high < Infinity && { high }) };
  return Object.keys(stepLimit).length > 0 ? { stepLimit } : {};
}

/** Where a Mamba-2 layer's parameters are, in transformers' layout and in mamba_ssm's. */
export function mamba2Layer(
  layer: string,
  mixer: Mamba2Configuration,
): Sources {
  return {
    "mixer_norm.weight": `${layer}.norm.weight`,
    "mixer_norm.bias": `${layer}.norm.bias`,
    ...partSources({ mixer: mamba2Sources(`${layer}.mixer`, mixer) }),
  };
}

/** Where a Mamba-2 mixer's parameters are. */
export function mamba2Sources(prefix: string, mixer: Mamba2Configuration): Sources {
  const { heads, headDim, stateDim, groups = 1, convolution: taps = 4 } = mixer;
  const channels = heads * headDim + 2 * groups * stateDim;
  return {
    ...projectionSources({ input: `${prefix}.in_proj`, output: `${prefix}.out_proj` }),
    "convolution.weight": convolutionSource(`${prefix}.conv1d.weight`, channels, taps),
    "convolution.bias": `${prefix}.conv1d.bias`,
    decay: `${prefix}.A_log`,
    step_bias: `${prefix}.dt_bias`,
    skip: `${prefix}.D`,
    "norm.weight": `${prefix}.norm.weight`,
  };
}

/** What the config of a hybrid with attention says of its Mamba-2 layers. */
export const MAMBA_2_FIELDS = {
  mamba_n_heads: v.nullish(HEADS, 128),
  mamba_d_head: v.nullish(v.union([v.literal("auto"), SIZE], 'a positive integer or "auto"')),
  mamba_n_groups: v.nullish(HEADS, 1),
  mamba_d_state: v.nullish(SIZE, 256),
  mamba_d_conv: v.nullish(SIZE, 4),
  mamba_expand: v.nullish(SIZE, 2),
  mamba_conv_bias: v.nullish(FLAG, true),
  mamba_proj_bias: v.nullish(FLAG, false),
  time_step_limit: STEP_LIMIT,
};
const HYBRID = v.object({ ...MAMBA_2_FIELDS, hidden_size: SIZE, rms_norm_eps: POSITIVE });

/**
 * The Mamba-2 layers of a hybrid; transformers norms their whole inner width at once.
 *
 * @param inner The inner width.
 * @throws {Error} where heads and groups do not divide it.
 */
export function readMamba2(
  config: v.InferOutput<typeof HYBRID>,
  file: CheckpointConfig,
  inner: number = config.mamba_expand * config.hidden_size,
): Mamba2Configuration {
  const { mamba_n_heads: heads, mamba_n_groups: groups } = config;
  const headDim = inner / heads;
  const said = config.mamba_d_head ?? "auto";
  if (!Number.isInteger(headDim) || said !== "auto" && said !== headDim) {
    file.fail(
      `"mamba_n_heads" heads of "mamba_d_head" must be the inner width of ${inner}: current values are ${heads} and ${said}`,
    );
  }
  file.divide({ mamba_n_heads: heads }, { mamba_n_groups: groups });
  return {
    kind: "mamba2",
    heads,
    headDim,
    stateDim: config.mamba_d_state,
    groups,
    convolution: config.mamba_d_conv,
    convolutionBias: config.mamba_conv_bias,
    bias: config.mamba_proj_bias,
    normEpsilon: config.rms_norm_eps,
    ...stepLimitOf(config.time_step_limit),
  };
}
