import * as v from "valibot";
import type { ActivationKind } from "../../../kernels/activation/mod.ts";
import type { LayerConfiguration } from "../../configuration.ts";
import type { AttentionConfiguration } from "../../mixers/attention.ts";
import type { MixerConfiguration } from "../../mixers/registry.ts";
import {
  FLAG,
  HEADS,
  integer,
  LAYERS,
  LENGTH,
  listOf,
  oneOf,
  only,
  POSITIVE,
  SIZE,
  unsupported,
  VOCABULARY,
} from "../../schema.ts";
import { CheckpointConfig } from "./config.ts";
import {
  convolutionSource,
  type ParameterSource,
  type PublishedModel,
  rowsOf,
  sourcesOf,
} from "./family.ts";
import { attentionSources, partSources, type Sources } from "./transformers.ts";

const ATTENTION = v.object({
  layers: listOf(integer(0, 2 ** 24)),
  num_heads: HEADS,
  num_kv_heads: v.nullish(HEADS),
  rope_theta: v.nullish(POSITIVE, 10_000),
  qkv_bias: v.nullish(FLAG, false),
  window_size: v.nullish(LENGTH),
}, "an object");

/** What all of these families' configs say. A family whose own default differs overrides the field. */
export const FLA_FIELDS = {
  vocab_size: v.nullish(VOCABULARY, 32_000),
  hidden_size: v.nullish(SIZE, 2048),
  num_hidden_layers: v.nullish(LAYERS, 24),
  intermediate_size: v.nullish(SIZE),
  /** Null is 4 in any family. */
  hidden_ratio: v.optional(v.nullable(POSITIVE), 4),
  hidden_act: v.nullish(oneOf(["swish"])),
  norm_eps: v.nullish(POSITIVE, 1e-6),
  max_position_embeddings: v.nullish(LENGTH),
  tie_word_embeddings: v.nullish(FLAG, false),
  attnres_block_size: unsupported(),
  /** One object, or one for some layers each. */
  attn: v.nullish(v.lazy((value) => Array.isArray(value) ? v.array(ATTENTION) : ATTENTION)),
};
const FLA = v.object(FLA_FIELDS);
type FlaConfig = v.InferOutput<typeof FLA>;

/** What the configs of families with short convolutions say of them. */
export const CONVOLUTION_FIELDS = {
  conv_bias: only(false),
  conv_size: v.nullish(SIZE, 4),
};

/** What GLA's and RetNet's configs have alike. */
export const GROUPED_FIELDS = {
  ...FLA_FIELDS,
  num_heads: v.nullish(HEADS, 4),
  num_kv_heads: v.nullish(HEADS),
  expand_k: v.nullish(POSITIVE, 1),
  expand_v: v.nullish(POSITIVE, 1),
  elementwise_affine: only(true),
  use_output_gate: v.nullish(FLAG, true),
  fuse_norm: v.nullish(FLAG, true),
};
const GROUPED = v.object(GROUPED_FIELDS);
type GroupedConfig = v.InferOutput<typeof GROUPED>;

/** What a family in flash-linear-attention's layout has of its own. */
export interface FlaFamily {
  /** The architecture's name, as results call it. */
  readonly family: string;
  /** Its mixer. */
  readonly mixer: MixerConfiguration;
  /** Where the mixer's parameters are, by the name of the layer's `attn`. */
  sources(attn: string): Record<string, string | ParameterSource>;
}

/**
 * A model in flash-linear-attention's layout (fla 0.5.2, `fla/models`): layers of a mixer and a
 * SwiGLU, softmax attention in the place of some of the mixers where `attn` says so.
 */
export function readFla(
  config: FlaConfig,
  file: CheckpointConfig,
  of: FlaFamily,
): PublishedModel {
  const { hidden_size: width, num_hidden_layers: count } = config;
  const hidden = config.intermediate_size ?? hiddenOf(width, config.hidden_ratio ?? 4);
  const attention = readAttention(config, file);
  const layers = Array.from({ length: count }, (_, index): LayerConfiguration => ({
    mixer: attention.get(index) ?? of.mixer,
    channelMixer: { kind: "swiglu", hidden },
  }));
  const sourcesWith = (
    perceptron: (mlp: string) => Sources,
  ): ReadonlyMap<string, ParameterSource> =>
    sourcesOf(
      {
        "embedding.weight": "model.embeddings.weight",
        "norm.weight": "model.norm.weight",
        "head.weight": "lm_head.weight",
      },
      Array.from({ length: count }, (_, index) => {
        const layer = `model.layers.${index}`;
        return {
          "mixer_norm.weight": `${layer}.attn_norm.weight`,
          "channel_norm.weight": `${layer}.mlp_norm.weight`,
          ...(attention.has(index) ? flaAttentionSources : of.sources)(`${layer}.attn`),
          ...perceptron(`${layer}.mlp`),
        };
      }),
    );
  return {
    ...(config.max_position_embeddings && { trainedLength: config.max_position_embeddings }),
    configuration: {
      family: of.family,
      vocabulary: config.vocab_size,
      width,
      normEpsilon: config.norm_eps,
      tiedHead: config.tie_word_embeddings,
      layers,
    },
    sources: sourcesWith((mlp) => ({
      "channel_mixer.gate.weight": `${mlp}.gate_proj.weight`,
      "channel_mixer.up.weight": `${mlp}.up_proj.weight`,
      "channel_mixer.down.weight": `${mlp}.down_proj.weight`,
    })),
    // Before February 2025 the gate and what it gates were one projection.
    otherSources: [sourcesWith((mlp) => ({
      "channel_mixer.gate.weight": rowsOf(
        `${mlp}.gate_proj.weight`,
        [2 * hidden, width],
        [0, hidden],
      ),
      "channel_mixer.up.weight": rowsOf(
        `${mlp}.gate_proj.weight`,
        [2 * hidden, width],
        [hidden, 2 * hidden],
      ),
      "channel_mixer.down.weight": `${mlp}.down_proj.weight`,
    }))],
    besides: /\.rotary\.inv_freq$/,
  };
}

/**
 * The widths that a mixer has by `expand_k` and `expand_v`, a head of each.
 *
 * @throws {Error} where they do not give heads of one size.
 */
export function readExpanded(
  config: { readonly hidden_size: number; readonly expand_k: number; readonly expand_v: number },
  file: CheckpointConfig,
  heads: number,
): { keyDim: number; valueDim: number } {
  const { hidden_size: width } = config;
  const headOf = (key: "expand_k" | "expand_v"): number => {
    const size = Math.trunc(width * config[key]) / heads;
    if (Number.isInteger(size) && size > 0) return size;
    return file.fail(
      `"${key}" must give "hidden_size" (${width}) times it in ${heads} equal heads: current value is ${
        config[key]
      }`,
    );
  };
  return { keyDim: headOf("expand_k"), valueDim: headOf("expand_v") };
}

/** What GLA's and RetNet's mixers have alike, and how wide their streams are. */
export interface Grouped {
  /** The mixer's shared fields. */
  readonly mixer: {
    readonly heads: number;
    readonly keyHeads: number;
    readonly keyDim: number;
    readonly valueDim: number;
    readonly outputGate: boolean;
    readonly normEpsilon: number;
    readonly featureMap?: ActivationKind;
  };
  /** Channels of queries, keys and values. */
  readonly channels: { readonly query: number; readonly key: number; readonly value: number };
}

/**
 * Reads what GLA and RetNet have alike: heads that share keys and values, a gate and a norm behind.
 *
 * @param featureMap What `feature_map` names.
 */
export function readGrouped(
  config: GroupedConfig,
  file: CheckpointConfig,
  featureMap: ActivationKind | undefined,
): Grouped {
  const { num_heads: heads, num_kv_heads } = config;
  const keyHeads = num_kv_heads ?? heads;
  file.divide({ num_heads: heads }, { num_kv_heads: keyHeads });
  const { keyDim, valueDim } = readExpanded(config, file, heads);
  return {
    mixer: {
      heads,
      keyHeads,
      keyDim,
      valueDim,
      outputGate: config.use_output_gate,
      normEpsilon: config.norm_eps,
      ...(featureMap && { featureMap }),
    },
    channels: { query: heads * keyDim, key: keyHeads * keyDim, value: keyHeads * valueDim },
  };
}

/** Where what GLA and RetNet have alike is, behind the streams' convolutions of `taps`. */
export function groupedSources(
  config: GroupedConfig,
  attn: string,
  channels: Grouped["channels"],
  taps: number,
): Sources {
  return {
    ...streamSources(attn, channels, taps),
    "mixer.gate.weight": `${attn}.g_proj.weight`,
    "mixer.norm.weight": `${attn}.${gatedNormName(config)}.weight`,
    "mixer.output.weight": `${attn}.o_proj.weight`,
  };
}

/** What GLA and RetNet call their norm: by another name where it is fused with a gate. */
function gatedNormName(config: GroupedConfig): "g_norm_swish_gate" | "g_norm" {
  return config.fuse_norm && config.use_output_gate ? "g_norm_swish_gate" : "g_norm";
}

/**
 * Where queries, keys and values are, with the convolutions behind them, `[channels, 1, taps]`.
 *
 * @param letters What their stored names begin with. @default the names' own first letters
 */
export function streamSources(
  attn: string,
  channels: Readonly<Record<string, number>>,
  taps: number,
  letters: Readonly<Record<string, string>> = {},
): Sources {
  return Object.fromEntries(
    Object.entries(channels).flatMap(([name, count]) => {
      const letter = letters[name] ?? name[0];
      return [
        [`mixer.${name}.weight`, `${attn}.${letter}_proj.weight`],
        [
          `mixer.${name}_convolution.weight`,
          convolutionSource(`${attn}.${letter}_conv1d.weight`, count, taps),
        ],
      ];
    }),
  );
}

/** `2/3 · hidden_ratio` of the width, up to a multiple of 256. */
function hiddenOf(width: number, ratio: number): number {
  return 256 * Math.ceil(Math.trunc(width * ratio * 2 / 3) / 256);
}

/** The layers that `attn` gives to softmax attention. */
function readAttention(
  { attn = [], hidden_size: width, num_hidden_layers: count }: FlaConfig,
  file: CheckpointConfig,
): ReadonlyMap<number, AttentionConfiguration> {
  const mixers = new Map<number, AttentionConfiguration>();
  for (const entry of [attn ?? []].flat()) {
    const { num_heads: heads, num_kv_heads, window_size: window } = entry;
    const keyHeads = num_kv_heads ?? heads;
    file.divide({ num_heads: heads }, { num_kv_heads: keyHeads });
    const mixer: AttentionConfiguration = {
      kind: "attention",
      heads,
      keyHeads,
      headDim: Math.floor(width / heads),
      rotaryBase: entry.rope_theta,
      bias: entry.qkv_bias,
      ...(typeof window === "number" && { window }),
    };
    for (const layer of entry.layers) {
      if (layer >= count) {
        new CheckpointConfig(entry, `${file.source}, "attn"`).failOn(
          "layers",
          `numbers of layers, from 0 to ${count - 1}`,
        );
      }
      mixers.set(layer, mixer);
    }
  }
  return mixers;
}

/** Where an attention's parameters are. */
export function flaAttentionSources(attn: string): Sources {
  return partSources({ mixer: attentionSources(attn) });
}
