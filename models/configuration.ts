import { CHANNEL_MIXER, type ChannelMixerConfiguration } from "./channel_mixers.ts";
import { didYouMean } from "./did_you_mean.ts";
import { MIXER, type MixerConfiguration } from "./mixers/registry.ts";
import {
  exactly,
  FLAG,
  layersOf,
  NOT_NEGATIVE,
  NUMBER,
  oneOf,
  optional,
  POSITIVE,
  type Schema,
  SIZE,
  TEXT,
  VOCABULARY,
} from "./schema.ts";

/** One layer: a sequence mixer, then a channel mixer; it may lack either. */
export interface LayerConfiguration {
  /** Mixes along the sequence; one of kind `parallel` is several mixers side by side. */
  readonly mixer?: MixerConfiguration;
  /** Mixes the channels of each token. */
  readonly channelMixer?: ChannelMixerConfiguration;
  /**
   * Which of a mixer's sides are normed: its input (`before`), its output on the way to the residual
   * stream (`behind`, OLMo 2), or both (`around`, Gemma 2). @default "before"
   */
  readonly norms?: "before" | "behind" | "around";
}

/** A model as plain data. */
export interface ModelConfiguration {
  /** The architecture's name, as results call it. */
  readonly family: string;
  /** Number of tokens. */
  readonly vocabulary: number;
  /** Width of the residual stream. */
  readonly width: number;
  /** The norm before each mixer and before the head. @default RMS norm */
  readonly norm?: "rms" | "layer";
  /** What those norms add to the mean square, or to the variance. @default 1e-5 */
  readonly normEpsilon?: number;
  /** Multiplies the embedding, as Gemma's √width does. @default 1 */
  readonly embeddingScale?: number;
  /** Whether the embedding is normed, as RWKV's is. */
  readonly embeddingNorm?: boolean;
  /** Whether the head's rows are the embedding's: there is no `head.weight` then. */
  readonly tiedHead?: boolean;
  /** Multiplies the logits, before any cap. @default 1 */
  readonly logitScale?: number;
  /** Bounds the logits to ± this: `cap · tanh(logits / cap)` (Gemma). @default no bound */
  readonly logitSoftCap?: number;
  /** The layers, first to last. */
  readonly layers: readonly LayerConfiguration[];
}

/** What checks a model's configuration where it comes from a file. */
export const MODEL: Schema<ModelConfiguration> = exactly<ModelConfiguration>({
  family: TEXT,
  vocabulary: VOCABULARY,
  width: SIZE,
  norm: optional(oneOf(["rms", "layer"])),
  normEpsilon: optional(NOT_NEGATIVE),
  embeddingScale: optional(NUMBER),
  embeddingNorm: optional(FLAG),
  tiedHead: optional(FLAG),
  logitScale: optional(NUMBER),
  logitSoftCap: optional(POSITIVE),
  layers: layersOf(exactly<LayerConfiguration>({
    mixer: optional(MIXER),
    channelMixer: optional(CHANNEL_MIXER),
    norms: optional(oneOf(["before", "behind", "around"])),
  })),
});

/** What the named architectures leave open. */
export interface ArchitectureOptions {
  /** Number of tokens. */
  readonly vocabulary: number;
  /** Width of the residual stream. */
  readonly width: number;
  /** Number of layers, for the architectures that repeat one. */
  readonly layers?: number;
  /** Rows of a head's state, in the architectures that have such a state. @default their own */
  readonly stateDim?: number;
  /** Which layers of `mamba2-attention` are attention, from 0. @default the middle one */
  readonly attentionLayers?: readonly number[];
}

/** Makes a model of a named architecture; throws a RangeError for options that it does not have. */
export type Architecture = (options: ArchitectureOptions) => ModelConfiguration;

function repeated(
  family: string,
  { vocabulary, width, layers = 2 }: ArchitectureOptions,
  layer: LayerConfiguration,
): ModelConfiguration {
  return { family, vocabulary, width, layers: new Array(layers).fill(layer) };
}

function mamba2(width: number, stateDim = 32): LayerConfiguration {
  return {
    mixer: { kind: "mamba2", heads: width / 8, headDim: 16, stateDim },
  };
}

/** A linear RNN's mixer with heads of 16 values, and a SwiGLU behind it. */
function withMlp(
  { width, stateDim }: ArchitectureOptions,
  kind: "delta_net" | "gated_delta_net" | "gla" | "kda" | "linear_attention" | "retnet",
  keyDim: number,
): LayerConfiguration {
  return {
    mixer: { kind, heads: width / 16, keyDim: stateDim ?? keyDim, valueDim: 16 },
    channelMixer: { kind: "swiglu", hidden: 2 * width },
  };
}

function rwkv(
  kind: "rwkv6" | "rwkv7",
  options: ArchitectureOptions,
  expansion: number,
): ModelConfiguration {
  const { vocabulary, width, layers = 2 } = options;
  const size = { heads: width / 16, headDim: 16 };
  return {
    family: kind,
    vocabulary,
    width,
    norm: "layer",
    embeddingNorm: true,
    layers: Array.from({ length: layers }, (_, index) => ({
      mixer: kind === "rwkv6" ? { kind, ...size } : { kind, ...size, mixesValues: index > 0 },
      channelMixer: { kind, hidden: expansion * width },
    })),
  };
}

/** The named architectures; each takes a width that is a multiple of 16. */
export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  /** Transformer++: RoPE, RMS norm, SwiGLU (Touvron et al. 2023). */
  transformer: (options) =>
    repeated("transformer", options, {
      mixer: {
        kind: "attention",
        heads: options.width / 16,
        headDim: 16,
        rotaryBase: 10_000,
      },
      channelMixer: { kind: "swiglu", hidden: 2 * options.width },
    }),

  /** Mamba-2 (Dao & Gu 2024): mixers alone, inner width twice the model's. */
  mamba2: (options) => repeated("mamba2", options, mamba2(options.width, options.stateDim)),

  /** Gated linear attention (Yang et al. 2024), with short convolutions. */
  gla: (options) => repeated("gla", options, withMlp(options, "gla", 8)),

  /** Linear attention without a decay (Katharopoulos et al. 2020). */
  "linear-attention": (options) =>
    repeated("linear-attention", options, withMlp(options, "linear_attention", 16)),

  /** RetNet (Sun et al. 2023): a fixed decay for each head. */
  retnet: (options) => repeated("retnet", options, withMlp(options, "retnet", 16)),

  /** HGRN2 (Qin et al. 2024): the forget gate is the decay, its complement the key. */
  hgrn2: (options) =>
    repeated("hgrn2", options, {
      mixer: {
        kind: "hgrn2",
        heads: options.width / 16,
        expansion: options.stateDim ?? 16,
        valueDim: 16,
      },
      channelMixer: { kind: "swiglu", hidden: 2 * options.width },
    }),

  /** DeltaNet (Yang et al. 2024): the delta rule, with short convolutions. */
  deltanet: (options) => repeated("deltanet", options, withMlp(options, "delta_net", 16)),

  /** Gated DeltaNet (Yang et al. 2025): the delta rule with a decay for each head. */
  "gated-deltanet": (options) =>
    repeated("gated-deltanet", options, withMlp(options, "gated_delta_net", 16)),

  /** DeltaProduct (Siems et al. 2025): two writes per token, with eigenvalues from −1 to 1. */
  deltaproduct: (options) =>
    repeated("deltaproduct", options, {
      mixer: {
        kind: "gated_delta_net",
        heads: options.width / 16,
        keyDim: options.stateDim ?? 16,
        valueDim: 16,
        steps: 2,
        negativeEigenvalues: true,
      },
      channelMixer: { kind: "swiglu", hidden: 2 * options.width },
    }),

  /** Kimi Delta Attention (Kimi Team 2025): the delta rule with a decay for each key channel. */
  kda: (options) => repeated("kda", options, withMlp(options, "kda", 16)),

  /** HGRN (Qin et al. 2023): an elementwise recurrence whose forget gate has a lower bound. */
  hgrn: (options) =>
    repeated("hgrn", options, {
      mixer: { kind: "hgrn", channels: 2 * options.width, bounded: true },
      channelMixer: { kind: "swiglu", hidden: 2 * options.width },
    }),

  /** LFM2 (Liquid AI 2025): two gated short convolutions to one layer of attention. */
  lfm2: ({ vocabulary, width, layers = 3 }) => ({
    family: "lfm2",
    vocabulary,
    width,
    layers: Array.from({ length: layers }, (_, index): LayerConfiguration => ({
      mixer: index % 3 === 2
        ? {
          kind: "attention",
          heads: width / 16,
          headDim: 16,
          rotaryBase: 10_000,
          queryKeyNorm: "head",
        }
        : { kind: "short_convolution" },
      channelMixer: { kind: "swiglu", hidden: 2 * width },
    })),
  }),

  /** Mamba (Gu & Dao 2023): mixers alone, inner width twice the model's. */
  mamba1: (options) =>
    repeated("mamba1", options, {
      mixer: { kind: "mamba1", inner: 2 * options.width, stateDim: options.stateDim ?? 16 },
    }),

  /** RWKV-6 (Peng et al. 2024): a decay for each channel that the input chooses, and a bonus. */
  rwkv6: (options) => rwkv("rwkv6", options, 3.5),

  /** RWKV-7 (Peng et al. 2025): a diagonal plus low rank transition. */
  rwkv7: (options) => rwkv("rwkv7", options, 4),

  /** Griffin (De et al. 2024): two recurrent blocks to one of local attention. */
  griffin: ({ vocabulary, width, layers = 3 }) => ({
    family: "griffin",
    vocabulary,
    width,
    layers: Array.from({ length: layers }, (_, index): LayerConfiguration => ({
      mixer: index % 3 === 2
        ? {
          kind: "attention",
          heads: width / 16,
          headDim: 16,
          rotaryBase: 10_000,
          window: 32,
        }
        : { kind: "rg_lru", recurrentWidth: 2 * width },
      channelMixer: { kind: "geglu", hidden: 1.5 * width },
    })),
  }),

  /** Mamba-2 with one layer of attention without positions in the middle (Waleffe et al. 2024). */
  "mamba2-attention": ({ vocabulary, width, layers = 3, stateDim, attentionLayers }) => ({
    family: "mamba2-attention",
    vocabulary,
    width,
    layers: Array.from(
      { length: layers },
      (_, index): LayerConfiguration =>
        (attentionLayers ?? [Math.floor(layers / 2)]).includes(index)
          ? { mixer: { kind: "attention", heads: width / 16, headDim: 16 } }
          : mamba2(width, stateDim),
    ),
  }),
};

/** An option that would change nothing is an error: a sweep over it would compare like with like. */
function checkOptions(name: string, options: ArchitectureOptions, layers: number): void {
  const { stateDim, attentionLayers = [] } = options;
  const fail = (reason: string): never => {
    throw new RangeError(`Cannot build the architecture "${name}" as ${reason}`);
  };
  if (stateDim !== undefined) {
    const built = (stateDim: number): string =>
      JSON.stringify(ARCHITECTURES[name]({ ...options, stateDim }));
    if (built(16) === built(32)) fail("it has no stateDim: leave it out");
    if (!(Number.isInteger(stateDim) && stateDim > 0)) {
      fail(`stateDim must be a positive integer: current value is ${stateDim}`);
    }
  }
  if (options.attentionLayers !== undefined && name !== "mamba2-attention") {
    fail("mamba2-attention alone has attentionLayers: leave them out");
  }
  const wrong = attentionLayers.find((layer) =>
    !(Number.isInteger(layer) && layer >= 0 && layer < layers)
  );
  if (wrong !== undefined) {
    fail(`attentionLayers must be of its layers 0 to ${layers - 1}: one of them is ${wrong}`);
  }
}

/**
 * The configuration of a named architecture.
 *
 * @throws {RangeError} for an unknown name, or an option that the architecture does not have.
 */
export function architecture(name: string, options: ArchitectureOptions): ModelConfiguration {
  const build = ARCHITECTURES[name];
  if (build === undefined) {
    throw new RangeError(
      didYouMean("architecture", name, Object.keys(ARCHITECTURES), "ARCHITECTURES has all"),
    );
  }
  if (options.width % 16 !== 0) {
    throw new RangeError(
      `Cannot build the architecture "${name}" as its width must be a multiple of 16: current width is ${options.width}`,
    );
  }
  const configuration = build(options);
  checkOptions(name, options, configuration.layers.length);
  return configuration;
}
