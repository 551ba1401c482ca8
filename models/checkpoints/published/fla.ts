import type { ActivationKind } from "../../../kernels/activation/mod.ts";
import type { LayerConfiguration } from "../../configuration.ts";
import type { AttentionConfiguration } from "../../mixers/attention.ts";
import type { MixerConfiguration } from "../../mixers/registry.ts";
import { CheckpointConfig } from "./config.ts";
import {
  convolutionSource,
  type ParameterSource,
  type PublishedModel,
  rowsOf,
  sourcesOf,
} from "./family.ts";

/** What a family in flash-linear-attention's layout has of its own. */
export interface FlaFamily {
  /** The architecture's name, as results call it. */
  readonly family: string;
  /** Its mixer. */
  readonly mixer: MixerConfiguration;
  /** `hidden_ratio` where the config leaves it out; null there is 4 in any family. */
  readonly hiddenRatio: number;
  /** `num_hidden_layers` where the config leaves it out. */
  readonly layers: number;
  /** Where the mixer's parameters are, by the name of the layer's `attn`. */
  sources(attn: string): Record<string, string | ParameterSource>;
}

/**
 * A model in flash-linear-attention's layout (fla 0.5.2, `fla/models`): layers of a mixer and a
 * SwiGLU, softmax attention in the place of some of the mixers where `attn` says so.
 */
export function readFla(config: CheckpointConfig, of: FlaFamily): PublishedModel {
  const width = config.number("hidden_size", 2048);
  const count = config.number("num_hidden_layers", of.layers);
  const tiedHead = config.boolean("tie_word_embeddings", false);
  const hidden = readHidden(config, width, of.hiddenRatio);
  config.choice("hidden_act", { swish: "swiglu" }, "swish");
  refuseUnless(config, "attnres_block_size", null);
  const attention = readAttention(config, width, count);
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
          ...(attention.has(index) ? attentionSources : of.sources)(`${layer}.attn`),
          ...perceptron(`${layer}.mlp`),
        };
      }),
    );
  return {
    ...(config.has("max_position_embeddings") && {
      trainedLength: config.number("max_position_embeddings"),
    }),
    configuration: {
      family: of.family,
      vocabulary: config.number("vocab_size", 32_000),
      width,
      normEpsilon: config.number("norm_eps", 1e-6),
      tiedHead,
      layers,
    },
    sources: sourcesWith((mlp) => ({
      "channel_mixer.gate.weight": `${mlp}.gate_proj.weight`,
      "channel_mixer.up.weight": `${mlp}.up_proj.weight`,
      "channel_mixer.down.weight": `${mlp}.down_proj.weight`,
    })),
    // Before February 2025 the gate and what it gates were one projection.
    olderSources: sourcesWith((mlp) => ({
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
    })),
    besides: tiedHead ? /^lm_head\.weight$|\.rotary\.inv_freq$/ : /\.rotary\.inv_freq$/,
  };
}

type Sources = Record<string, string | ParameterSource>;

/**
 * The widths that a mixer has by `expand_k` and `expand_v`, a head of each.
 *
 * @throws {Error} where they do not give heads of one size.
 */
export function readExpanded(
  config: CheckpointConfig,
  heads: number,
  defaults: { readonly key: number; readonly value: number },
): { keyDim: number; valueDim: number } {
  const width = config.number("hidden_size", 2048);
  const headOf = (key: string, fallback: number): number => {
    const ratio = config.number(key, fallback);
    const size = Math.trunc(width * ratio) / heads;
    if (Number.isInteger(size)) return size;
    return config.fail(
      `"${key}" must give "hidden_size" (${width}) times it in ${heads} equal heads: current value is ${ratio}`,
    );
  };
  return {
    keyDim: headOf("expand_k", defaults.key),
    valueDim: headOf("expand_v", defaults.value),
  };
}

/** The key and value heads, which must divide the heads. @throws {Error} where they do not. */
function readKeyHeads(config: CheckpointConfig, heads: number): number {
  const keyHeads = config.number("num_kv_heads", heads);
  if (heads % keyHeads === 0) return keyHeads;
  return config.fail(
    `"num_kv_heads" must divide "num_heads" (${heads}): current value is ${keyHeads}`,
  );
}

/** The width of the short convolutions, 0 for none. */
export function readConvolution(config: CheckpointConfig, used: boolean): number {
  refuseUnless(config, "conv_bias", false);
  return config.boolean("use_short_conv", used) ? config.number("conv_size", 4) : 0;
}

/** What GLA and RetNet leave open of what they have alike. */
export interface GroupedOptions {
  /** `num_heads` where the config leaves it out. */
  readonly heads: number;
  /** `expand_k` and `expand_v` where the config leaves them out. */
  readonly expansion: { readonly key: number; readonly value: number };
  /** What `feature_map` may name. */
  readonly featureMaps: Readonly<Record<string, ActivationKind>>;
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

/** Reads what GLA and RetNet have alike: heads that share keys and values, a gate and a norm behind. */
export function readGrouped(
  config: CheckpointConfig,
  { heads: defaultHeads, expansion, featureMaps }: GroupedOptions,
): Grouped {
  const heads = config.number("num_heads", defaultHeads);
  const keyHeads = readKeyHeads(config, heads);
  const { keyDim, valueDim } = readExpanded(config, heads, expansion);
  refuseUnless(config, "elementwise_affine", true);
  return {
    mixer: {
      heads,
      keyHeads,
      keyDim,
      valueDim,
      outputGate: config.boolean("use_output_gate", true),
      normEpsilon: config.number("norm_eps", 1e-6),
      ...(config.has("feature_map") && {
        featureMap: config.choice("feature_map", featureMaps, ""),
      }),
    },
    channels: { query: heads * keyDim, key: keyHeads * keyDim, value: keyHeads * valueDim },
  };
}

/** Where what GLA and RetNet have alike is, behind the streams' convolutions of `taps`. */
export function groupedSources(
  config: CheckpointConfig,
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
function gatedNormName(config: CheckpointConfig): "g_norm_swish_gate" | "g_norm" {
  const fused = config.boolean("fuse_norm", true) && config.boolean("use_output_gate", true);
  return fused ? "g_norm_swish_gate" : "g_norm";
}

/**
 * Accepts a setting where it is absent or has the one value that is supported.
 *
 * @throws {Error} that names the setting and its value for another.
 */
export function refuseUnless(
  config: CheckpointConfig,
  key: string,
  supported: number | boolean | null,
): void {
  const value = config.values[key];
  if (value === undefined || value === null || value === supported) return;
  config.fail(
    `"${key}" must be ${supported}, as nothing else is supported: current value is ${
      JSON.stringify(value)
    }`,
  );
}

/** Where queries, keys and values are, with the convolutions behind them, `[channels, 1, taps]`. */
export function streamSources(
  attn: string,
  channels: { readonly query: number; readonly key: number; readonly value: number },
  taps: number,
): Sources {
  return Object.fromEntries(
    Object.entries(channels).flatMap(([name, count]) => [
      [`mixer.${name}.weight`, `${attn}.${name[0]}_proj.weight`],
      [
        `mixer.${name}_convolution.weight`,
        convolutionSource(`${attn}.${name[0]}_conv1d.weight`, count, taps),
      ],
    ]),
  );
}

/** `2/3 · hidden_ratio` of the width, up to a multiple of 256, where the config does not say. */
function readHidden(config: CheckpointConfig, width: number, ratio: number): number {
  if (config.has("intermediate_size")) return config.number("intermediate_size");
  const chosen = config.values.hidden_ratio === null ? 4 : config.number("hidden_ratio", ratio);
  return 256 * Math.ceil(Math.trunc(width * chosen * 2 / 3) / 256);
}

/** The layers that `attn` gives to softmax attention: one object, or one for some layers each. */
function readAttention(
  config: CheckpointConfig,
  width: number,
  count: number,
): ReadonlyMap<number, AttentionConfiguration> {
  const entries = Array.isArray(config.values.attn) ? config.values.attn : [config.values.attn];
  const mixers = new Map<number, AttentionConfiguration>();
  entries.filter((entry) => entry !== undefined && entry !== null).forEach((entry) => {
    const attn = new CheckpointConfig({ attn: entry }, config.source).object("attn");
    const heads = attn.number("num_heads");
    const mixer: AttentionConfiguration = {
      kind: "attention",
      heads,
      keyHeads: attn.number("num_kv_heads", heads),
      headDim: Math.floor(width / heads),
      rotaryBase: attn.number("rope_theta", 10_000),
      bias: attn.boolean("qkv_bias", false),
      ...(attn.has("window_size") && { window: attn.number("window_size") }),
    };
    for (const layer of attn.list("layers")) {
      if (!Number.isInteger(layer) || Number(layer) < 0 || Number(layer) >= count) {
        attn.fail(
          `"layers" must be numbers of layers, from 0 to ${count - 1}: current value is ${
            JSON.stringify(attn.values.layers)
          }`,
        );
      }
      mixers.set(Number(layer), mixer);
    }
  });
  return mixers;
}

function attentionSources(attn: string): Sources {
  const projections = { query: "q", key: "k", value: "v", output: "o" };
  return Object.fromEntries(
    Object.entries(projections).flatMap(([ours, theirs]) => [
      [`mixer.${ours}.weight`, `${attn}.${theirs}_proj.weight`],
      [`mixer.${ours}.bias`, `${attn}.${theirs}_proj.bias`],
    ]),
  );
}
