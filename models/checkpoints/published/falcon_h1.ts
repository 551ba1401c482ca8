import * as v from "valibot";
import type { LayerConfiguration } from "../../configuration.ts";
import type { Mamba2Configuration } from "../../mixers/mamba2.ts";
import { FLAG, listOf, NUMBER, POSITIVE, type Schema, SIZE } from "../../schema.ts";
import {
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
} from "./family.ts";
import { mamba2Sources, MAMBA_2_FIELDS, readMamba2 } from "./mamba2.ts";
import { readRotary } from "./rotary.ts";
import {
  attentionSources,
  normSources,
  partSources,
  perceptronSources,
  readHeads,
  readTransformers,
  scaledMap,
  scaledRows,
  scaledSource,
  type Sources,
  TRANSFORMER_FIELDS,
} from "./transformers.ts";

const FACTOR = v.nullish(NUMBER, 1);

function factors(count: number): Schema<number[]> {
  return v.nullish(
    v.pipe(listOf(NUMBER), v.length(count, `a list of ${count}`)),
    Array(count).fill(1),
  ) as Schema<number[]>;
}

const CONFIG = v.object({
  ...TRANSFORMER_FIELDS,
  ...MAMBA_2_FIELDS,
  rms_norm_eps: v.nullish(POSITIVE, 1e-5),
  mamba_d_ssm: v.optional(v.nullable(SIZE), 1024),
  mamba_rms_norm: v.nullish(FLAG, false),
  mamba_norm_before_gate: v.nullish(FLAG, true),
  projectors_bias: v.nullish(FLAG, false),
  attention_bias: v.nullish(FLAG, false),
  mlp_bias: v.nullish(FLAG, false),
  embedding_multiplier: FACTOR,
  lm_head_multiplier: FACTOR,
  /** Of the gate, and of the output. */
  mlp_multipliers: factors(2),
  key_multiplier: FACTOR,
  attention_in_multiplier: FACTOR,
  attention_out_multiplier: FACTOR,
  /** Of gate, input, B, C and Δ. */
  ssm_multipliers: factors(5),
  ssm_in_multiplier: FACTOR,
  ssm_out_multiplier: FACTOR,
});
type Config = v.InferOutput<typeof CONFIG>;

/**
 * Falcon-H1 in transformers' layout: attention and Mamba-2 side by side in every layer. Its multipliers
 * become a part of the weights that they multiply.
 */
export const falconH1: PublishedFamily = publishedFamily({
  sign: '"architectures": ["FalconH1ForCausalLM"]',
  matches: (config) => isTransformers(config, "FalconH1ForCausalLM", "falcon_h1"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { attention_bias: bias } = config;
    const heads = readHeads(config, file);
    const read = readMamba2(config, file, config.mamba_d_ssm ?? undefined);
    const mamba: Mamba2Configuration = {
      ...read,
      outputBias: config.projectors_bias,
      normGroups: config.mamba_rms_norm ? read.groups : 0,
      normBeforeGate: config.mamba_rms_norm && config.mamba_norm_before_gate,
    };
    const layer: LayerConfiguration = {
      mixer: {
        kind: "parallel",
        mixers: [
          {
            kind: "attention",
            ...heads,
            bias,
            outputBias: bias,
            ...readRotary(config, file, heads.headDim, "whole"),
          },
          mamba,
        ],
      },
      channelMixer: {
        kind: "swiglu",
        hidden: config.intermediate_size,
        bias: config.mlp_bias,
      },
    };
    const [gateFactor, downFactor] = config.mlp_multipliers;
    return readTransformers(config, {
      family: "falcon-h1",
      embeddingScale: config.embedding_multiplier,
      logitScale: config.lm_head_multiplier,
      layers: Array(config.num_hidden_layers).fill(layer),
      sources: (name) => ({
        ...normSources(name, { mixer_norm: "input_layernorm", channel_norm: "pre_ff_layernorm" }),
        ...partSources({
          "mixer.0": attention(attentionSources(`${name}.self_attn`), config),
          "mixer.1": stateSpace(mamba2Sources(`${name}.mamba`, mamba), config, mamba),
          channel_mixer: scaledMap(
            scaledMap(perceptronSources(`${name}.feed_forward`), "gate", gateFactor),
            "down",
            downFactor,
          ),
        }),
      }),
      outer: { "norm.weight": "model.final_layernorm.weight" },
    });
  },
});

/** The factor of an attention's input is one of the weights that it meets, but not of the biases. */
function attention(sources: Sources, config: Config): Sources {
  const { attention_in_multiplier: factor } = config;
  const scaled = Object.fromEntries(
    ["query", "key", "value"].map((name) => [
      `${name}.weight`,
      scaledSource(sources[`${name}.weight`], factor),
    ]),
  );
  return scaledMap(
    scaledMap({ ...sources, ...scaled }, "key", config.key_multiplier),
    "output",
    config.attention_out_multiplier,
  );
}

/** Each part of a Mamba-2 layer's first projection has a factor of its own. */
function stateSpace(sources: Sources, config: Config, mamba: Mamba2Configuration): Sources {
  const { heads, headDim, stateDim, groups = 1 } = mamba;
  const [inner, shared] = [heads * headDim, groups * stateDim];
  const sizes = [inner, inner, shared, shared, heads];
  const ofRow = sizes.flatMap((size, part) => Array(size).fill(config.ssm_multipliers[part]));
  const scaled = {
    ...sources,
    "input.weight": scaledRows(
      scaledSource(sources["input.weight"], config.ssm_in_multiplier),
      ofRow,
    ),
    "input.bias": scaledRows(sources["input.bias"], ofRow),
  };
  return scaledMap(scaled, "output", config.ssm_out_multiplier);
}
