import * as v from "valibot";
import type { LayerConfiguration } from "../../configuration.ts";
import type { AttentionConfiguration } from "../../mixers/attention.ts";
import type { Mamba1Configuration } from "../../mixers/mamba1.ts";
import type { Mamba2Configuration } from "../../mixers/mamba2.ts";
import {
  FLAG,
  HEADS,
  integer,
  LAYERS,
  listOf,
  oneOf,
  only,
  POSITIVE,
  SIZE,
  SIZE_OR_NONE,
  VOCABULARY,
} from "../../schema.ts";
import type { CheckpointConfig } from "./config.ts";
import {
  type ParameterSource,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
  rowsOf,
  sourcesOf,
} from "./family.ts";
import { mambaLayer } from "./mamba.ts";
import { mamba2Layer, STEP_LIMIT, stepLimitOf } from "./mamba2.ts";

/** Gated perceptrons are as wide as the next multiple of this. */
const MLP_MULTIPLE = 128;

const STATE_SPACE = v.object({
  layer: v.nullish(oneOf(["Mamba1", "Mamba2"]), "Mamba1"),
  d_state: v.nullish(SIZE),
  d_conv: v.nullish(SIZE, 4),
  expand: v.nullish(SIZE, 2),
  dt_rank: v.nullish(v.union([v.literal("auto"), SIZE], 'a positive integer or "auto"')),
  headdim: v.nullish(SIZE, 64),
  ngroups: v.nullish(HEADS, 1),
  d_ssm: v.nullish(SIZE),
  conv_bias: v.nullish(FLAG, true),
  bias: v.nullish(FLAG, false),
  rmsnorm: only(true),
  D_has_hdim: only(false),
  norm_before_gate: v.nullish(FLAG, false),
  dt_limit: STEP_LIMIT,
}, "an object");
type StateSpace = v.InferOutput<typeof STATE_SPACE>;

const ATTENTION = v.object({
  num_heads: HEADS,
  num_heads_kv: v.nullish(HEADS),
  head_dim: v.nullish(SIZE),
  causal: v.literal(true, "true, as nothing else is supported"),
  mlp_dim: only(0),
  d_conv: v.nullish(SIZE_OR_NONE, 0),
  qkv_proj_bias: v.nullish(FLAG, true),
  out_proj_bias: v.nullish(FLAG, true),
  softmax_scale: v.nullish(POSITIVE),
  rotary_emb_dim: v.nullish(SIZE_OR_NONE, 0),
  rotary_emb_base: v.nullish(POSITIVE, 10_000),
  rotary_emb_interleaved: only(false),
}, "an object");
type Attention = v.InferOutput<typeof ATTENTION>;

const CONFIG = v.object({
  vocab_size: VOCABULARY,
  d_model: SIZE,
  n_layer: LAYERS,
  d_intermediate: v.nullish(SIZE_OR_NONE, 0),
  pad_vocab_size_multiple: v.nullish(SIZE, 8),
  rms_norm: v.nullish(FLAG, true),
  tie_embeddings: v.nullish(FLAG, true),
  ssm_cfg: STATE_SPACE,
  attn_layer_idx: v.nullish(listOf(integer(0, 2 ** 24)), []),
  // mamba_ssm's own configs give an empty object where there is no attention.
  attn_cfg: v.nullish(
    v.lazy((value) => Object.keys(value ?? {}).length > 0 ? ATTENTION : v.object({}, "an object")),
  ),
});

/**
 * The layout of the package mamba_ssm: state-spaces' mamba-*, mamba2-*, mamba2attn-2.7b and
 * transformerpp-2.7b.
 */
export const mambaSsm: PublishedFamily = publishedFamily({
  sign: '"d_model", "n_layer" and "ssm_cfg" (mamba_ssm)',
  matches: (config) => ["d_model", "n_layer", "ssm_cfg"].every((key) => config.has(key)),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { d_model: width, n_layer: count, attn_cfg: attn } = config;
    const attended = new Set(config.attn_layer_idx);
    const hidden = roundUp(config.d_intermediate, MLP_MULTIPLE);
    const stateSpace = readStateSpace(config.ssm_cfg, file, width);
    if (config.attn_layer_idx.some((layer) => layer >= count)) {
      file.failOn("attn_layer_idx", `numbers of layers, from 0 to ${count - 1}`);
    }
    const attention = attended.size === 0
      ? undefined
      : attn && "num_heads" in attn
      ? readAttention(attn, file, width)
      : file.failOn("attn_cfg", 'an object that gives "num_heads"');
    const layers = Array.from({ length: count }, (_, index): LayerConfiguration => ({
      mixer: attention && attended.has(index) ? attention : stateSpace,
      ...(hidden > 0 && { channelMixer: { kind: "swiglu", hidden } }),
    }));
    return {
      configuration: {
        family: familyOf(stateSpace.kind, layers),
        vocabulary: roundUp(config.vocab_size, config.pad_vocab_size_multiple),
        width,
        norm: config.rms_norm ? "rms" : "layer",
        tiedHead: config.tie_embeddings,
        layers,
      },
      sources: sourcesOf(
        {
          "embedding.weight": "backbone.embedding.weight",
          "norm.weight": "backbone.norm_f.weight",
          "norm.bias": "backbone.norm_f.bias",
          "head.weight": "lm_head.weight",
        },
        layers.map(({ mixer }, index) => {
          const layer = `backbone.layers.${index}`;
          return {
            ...(mixer?.kind === "attention"
              ? attentionLayer(layer, width, mixer)
              : stateSpace.kind === "mamba1"
              ? mambaLayer(layer, stateSpace.inner, stateSpace.convolution ?? 4)
              : mamba2Layer(layer, stateSpace)),
            ...perceptron(layer, width, hidden),
          };
        }),
      ),
    };
  },
});

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

function familyOf(
  stateSpace: "mamba1" | "mamba2",
  layers: readonly LayerConfiguration[],
): string {
  const attended = layers.filter(({ mixer }) => mixer?.kind === "attention").length;
  if (attended === layers.length) return "transformer";
  return attended === 0 ? stateSpace : `${stateSpace}-attention`;
}

function readStateSpace(
  config: StateSpace,
  file: CheckpointConfig,
  width: number,
): Mamba1Configuration | Mamba2Configuration {
  const inner = config.expand * width;
  const shared = {
    convolution: config.d_conv,
    convolutionBias: config.conv_bias,
    bias: config.bias,
  };
  if (config.layer === "Mamba1") {
    const { dt_rank: rank } = config;
    const stepRank = rank === "auto" ? {} : { stepRank: rank ?? Math.ceil(width / 16) };
    return { kind: "mamba1", inner, stateDim: config.d_state ?? 16, ...stepRank, ...shared };
  }
  if ((config.d_ssm ?? inner) !== inner) {
    file.failOn("ssm_cfg", `an object whose "d_ssm" is ${inner}, as nothing else is supported`);
  }
  const { headdim: headDim, ngroups: groups } = config;
  const heads = file.divide({ "expand · d_model": inner }, { headdim: headDim });
  file.divide({ "expand · d_model / headdim": heads }, { ngroups: groups });
  return {
    kind: "mamba2",
    heads,
    headDim,
    stateDim: config.d_state ?? 128,
    groups,
    normGroups: groups,
    normBeforeGate: config.norm_before_gate,
    ...shared,
    ...stepLimitOf(config.dt_limit),
  };
}

function readAttention(
  config: Attention,
  file: CheckpointConfig,
  width: number,
): AttentionConfiguration {
  const { num_heads: heads, rotary_emb_dim: rotaryDim, d_conv: taps } = config;
  const headDim = config.head_dim ?? file.divide({ d_model: width }, { num_heads: heads });
  const keyHeads = config.num_heads_kv ?? heads;
  file.divide({ num_heads: heads }, { num_heads_kv: keyHeads });
  return {
    kind: "attention",
    heads,
    keyHeads,
    headDim,
    bias: config.qkv_proj_bias,
    outputBias: config.out_proj_bias,
    ...(rotaryDim > 0 && { rotaryBase: config.rotary_emb_base, rotaryDim }),
    ...(taps > 0 && { convolution: taps }),
    ...(typeof config.softmax_scale === "number" && { scale: config.softmax_scale }),
  };
}

/** Queries, keys and values are rows of one projection, and channels of one convolution. */
function attentionLayer(
  layer: string,
  width: number,
  { heads, keyHeads = heads, headDim, convolution: taps = 0 }: AttentionConfiguration,
): Record<string, string | ParameterSource> {
  const rows = heads * headDim + 2 * keyHeads * headDim;
  const sources: Record<string, string | ParameterSource> = {
    "mixer_norm.weight": `${layer}.norm.weight`,
    "mixer_norm.bias": `${layer}.norm.bias`,
    "mixer.output.weight": `${layer}.mixer.out_proj.weight`,
    "mixer.output.bias": `${layer}.mixer.out_proj.bias`,
  };
  const mixer = `${layer}.mixer`;
  let start = 0;
  for (const [name, count] of [["query", heads], ["key", keyHeads], ["value", keyHeads]] as const) {
    const part = [start, start += count * headDim] as const;
    sources[`mixer.${name}.weight`] = rowsOf(`${mixer}.in_proj.weight`, [rows, width], part);
    sources[`mixer.${name}.bias`] = rowsOf(`${mixer}.in_proj.bias`, [rows], part);
    const convolution = `mixer.${name}_convolution`;
    sources[`${convolution}.weight`] = rowsOf(`${mixer}.conv1d.weight`, [rows, 1, taps], part);
    sources[`${convolution}.bias`] = rowsOf(`${mixer}.conv1d.bias`, [rows], part);
  }
  return sources;
}

/** A gated perceptron's first projection holds the values' rows, then the gates'. */
function perceptron(
  layer: string,
  width: number,
  hidden: number,
): Record<string, string | ParameterSource> {
  const shape = [2 * hidden, width];
  return {
    "channel_norm.weight": `${layer}.norm2.weight`,
    "channel_norm.bias": `${layer}.norm2.bias`,
    "channel_mixer.up.weight": rowsOf(`${layer}.mlp.fc1.weight`, shape, [0, hidden]),
    "channel_mixer.gate.weight": rowsOf(`${layer}.mlp.fc1.weight`, shape, [hidden, 2 * hidden]),
    "channel_mixer.down.weight": `${layer}.mlp.fc2.weight`,
  };
}
