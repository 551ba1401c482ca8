import type { LayerConfiguration } from "../../configuration.ts";
import type { AttentionConfiguration } from "../../mixers/attention.ts";
import type { Mamba1Configuration } from "../../mixers/mamba1.ts";
import type { Mamba2Configuration } from "../../mixers/mamba2.ts";
import type { CheckpointConfig } from "./config.ts";
import {
  type ParameterSource,
  type PublishedFamily,
  type PublishedModel,
  rowsOf,
  sourcesOf,
} from "./family.ts";
import { mambaLayer } from "./mamba.ts";
import { mamba2Layer, readStepLimit } from "./mamba2.ts";

/** Gated perceptrons are as wide as the next multiple of this. */
const MLP_MULTIPLE = 128;

/**
 * The layout of the package mamba_ssm: state-spaces' mamba-*, mamba2-*, mamba2attn-2.7b and
 * transformerpp-2.7b.
 */
export const mambaSsm: PublishedFamily = {
  sign: '"d_model", "n_layer" and "ssm_cfg" (mamba_ssm)',
  matches: (config) => ["d_model", "n_layer", "ssm_cfg"].every((key) => config.has(key)),
  read(config): PublishedModel {
    const width = config.number("d_model");
    const count = config.number("n_layer");
    const multiple = config.number("pad_vocab_size_multiple", 8);
    const tiedHead = config.boolean("tie_embeddings", true);
    const attended = new Set(config.list("attn_layer_idx", []));
    const hidden = roundUp(config.number("d_intermediate", 0), MLP_MULTIPLE);
    const stateSpace = readStateSpace(config.object("ssm_cfg"), width);
    const attention = attended.size > 0
      ? readAttention(config.object("attn_cfg"), width)
      : undefined;
    const layers = Array.from({ length: count }, (_, index): LayerConfiguration => ({
      mixer: attention && attended.has(index) ? attention : stateSpace,
      ...(hidden > 0 && { channelMixer: { kind: "swiglu", hidden } }),
    }));
    return {
      configuration: {
        family: familyOf(stateSpace.kind, layers),
        vocabulary: roundUp(config.number("vocab_size"), multiple),
        width,
        norm: config.boolean("rms_norm", true) ? "rms" : "layer",
        tiedHead,
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
      ...(tiedHead && { besides: /^lm_head\.weight$/ }),
    };
  },
};

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
  config: CheckpointConfig,
  width: number,
): Mamba1Configuration | Mamba2Configuration {
  const kind = config.choice("layer", { Mamba1: "mamba1", Mamba2: "mamba2" } as const, "Mamba1");
  const inner = config.number("expand", 2) * width;
  const shared = {
    convolution: config.number("d_conv", 4),
    convolutionBias: config.boolean("conv_bias", true),
    bias: config.boolean("bias", false),
  };
  if (kind === "mamba1") {
    const stepRank = config.values.dt_rank === "auto"
      ? {}
      : { stepRank: config.number("dt_rank", Math.ceil(width / 16)) };
    return { kind, inner, stateDim: config.number("d_state", 16), ...stepRank, ...shared };
  }
  if (!config.boolean("rmsnorm", true)) config.fail('"rmsnorm" must be true');
  if (config.boolean("D_has_hdim", false)) config.fail('"D_has_hdim" must be false');
  if (config.number("d_ssm", inner) !== inner) config.fail(`"d_ssm" must be ${inner}`);
  const headDim = config.number("headdim", 64);
  const groups = config.number("ngroups", 1);
  return {
    kind,
    heads: inner / headDim,
    headDim,
    stateDim: config.number("d_state", 128),
    groups,
    normGroups: groups,
    normBeforeGate: config.boolean("norm_before_gate", false),
    ...shared,
    ...readStepLimit(config, "dt_limit"),
  };
}

function readAttention(config: CheckpointConfig, width: number): AttentionConfiguration {
  const heads = config.number("num_heads");
  const headDim = config.number("head_dim", width / heads);
  const rotaryDim = config.number("rotary_emb_dim", 0);
  const taps = config.number("d_conv", 0);
  if (!config.boolean("causal", false)) config.fail('"causal" must be true');
  if (config.number("mlp_dim", 0) !== 0) config.fail('"mlp_dim" must be 0');
  if (config.boolean("rotary_emb_interleaved", false)) {
    config.fail('"rotary_emb_interleaved" must be false');
  }
  return {
    kind: "attention",
    heads,
    keyHeads: config.number("num_heads_kv", heads),
    headDim,
    bias: config.boolean("qkv_proj_bias", true),
    outputBias: config.boolean("out_proj_bias", true),
    ...(rotaryDim > 0 && { rotaryBase: config.number("rotary_emb_base", 10_000), rotaryDim }),
    ...(taps > 0 && { convolution: taps }),
    ...(config.has("softmax_scale") && { scale: config.number("softmax_scale") }),
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
