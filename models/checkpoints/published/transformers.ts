/**
 * What families in transformers' layout have alike: an embedding, attention behind `q_proj` to `o_proj`,
 * perceptrons, a final norm and a head.
 *
 * @module
 */
import * as v from "valibot";
import type { LayerConfiguration, ModelConfiguration } from "../../configuration.ts";
import type { AttentionConfiguration } from "../../mixers/attention.ts";
import {
  FLAG,
  HEADS,
  LAYERS,
  LENGTH,
  listOf,
  oneOf,
  POSITIVE,
  type Schema,
  SIZE,
  TEXT,
  VOCABULARY,
} from "../../schema.ts";
import type { CheckpointConfig } from "./config.ts";
import { type ParameterSource, type PublishedModel, sourcesOf } from "./family.ts";
import { readTrainedLength, ROTARY_FIELDS } from "./rotary.ts";

/** What every config says. */
export const MODEL_FIELDS = {
  vocab_size: VOCABULARY,
  hidden_size: SIZE,
  num_hidden_layers: LAYERS,
  rms_norm_eps: v.nullish(POSITIVE, 1e-6),
  tie_word_embeddings: v.nullish(FLAG, false),
};

/** What a config says of its attention. */
export const ATTENTION_FIELDS = {
  ...ROTARY_FIELDS,
  num_attention_heads: HEADS,
  num_key_value_heads: v.nullish(HEADS),
  head_dim: v.nullish(SIZE),
};

/** What the config of a model of attention and SwiGLUs says. */
export const TRANSFORMER_FIELDS = {
  ...MODEL_FIELDS,
  ...ATTENTION_FIELDS,
  intermediate_size: SIZE,
  hidden_act: v.nullish(oneOf(["silu"])),
};

/** A window that is as wide as said where the config leaves it out; null is none. */
export function windowField(width: number): Schema<number | null> {
  return v.optional(v.nullable(LENGTH), width) as Schema<number | null>;
}

/** What each layer is, in a config's words. */
export const LAYER_TYPES = v.nullish(listOf(TEXT));

/**
 * What each layer is.
 *
 * @param types What a layer may be, by the words of `layer_types`.
 * @param fallback What a layer is where the config does not say.
 * @throws {Error} where there are not as many as layers, or one is unknown.
 */
export function layerTypesOf<Type extends string>(
  config: {
    readonly num_hidden_layers: number;
    readonly layer_types?: readonly string[] | null;
  },
  file: CheckpointConfig,
  types: Readonly<Record<string, Type>>,
  fallback: (index: number) => Type,
): Type[] {
  const { num_hidden_layers: count, layer_types: given } = config;
  if (!given) return Array.from({ length: count }, (_, index) => fallback(index));
  const isKnown = given.every((type) => Object.hasOwn(types, type));
  if (given.length !== count || !isKnown) {
    file.failOn(
      "layer_types",
      `a list of ${count}, each one of ${Object.keys(types).join(", ")}`,
    );
  }
  return given.map((type) => types[type]);
}

/** The heads of a config's attention. @throws {Error} where its numbers do not divide one another. */
export function readHeads(
  config: {
    readonly hidden_size: number;
    readonly num_attention_heads: number;
    readonly num_key_value_heads?: number | null;
    readonly head_dim?: number | null;
  },
  file: CheckpointConfig,
): Required<Pick<AttentionConfiguration, "heads" | "keyHeads" | "headDim">> {
  const { hidden_size: width, num_attention_heads: heads } = config;
  const keyHeads = config.num_key_value_heads ?? heads;
  file.divide({ num_attention_heads: heads }, { num_key_value_heads: keyHeads });
  const headDim = config.head_dim ??
    file.divide({ hidden_size: width }, { num_attention_heads: heads });
  return { heads, keyHeads, headDim };
}

/** Stored names (or sources) by parameter name. */
export type Sources = Record<string, string | ParameterSource>;

/** Where linear maps are, `{ "mixer.query": "…q_proj" }`: their weights, and biases where they have some. */
export function projectionSources(maps: Readonly<Record<string, string>>): Sources {
  return Object.fromEntries(
    Object.entries(maps).flatMap(([ours, theirs]) => [
      [`${ours}.weight`, `${theirs}.weight`],
      [`${ours}.bias`, `${theirs}.bias`],
    ]),
  );
}

/** Where an attention's parameters are. */
export function attentionSources(attn: string): Sources {
  return {
    ...projectionSources({
      query: `${attn}.q_proj`,
      key: `${attn}.k_proj`,
      value: `${attn}.v_proj`,
      output: `${attn}.o_proj`,
    }),
    "query_norm.weight": `${attn}.q_norm.weight`,
    "key_norm.weight": `${attn}.k_norm.weight`,
  };
}

/** Where a perceptron's parameters are, one without a gate too. */
export function perceptronSources(mlp: string): Sources {
  return projectionSources({
    gate: `${mlp}.gate_proj`,
    up: `${mlp}.up_proj`,
    down: `${mlp}.down_proj`,
  });
}

/** Where the parts of a layer are: `partSources({ mixer: …, channel_mixer: … })`. */
export function partSources(parts: Readonly<Record<string, Sources>>): Sources {
  return Object.fromEntries(
    Object.entries(parts).flatMap(([part, sources]) =>
      Object.entries(sources).map(([name, source]) => [`${part}.${name}`, source])
    ),
  );
}

/** Where the norms of a layer are, by the stored names of those that it has. */
export function normSources(layer: string, names: Readonly<Record<string, string>>): Sources {
  return Object.fromEntries(
    Object.entries(names).map(([ours, theirs]) => [`${ours}.weight`, `${layer}.${theirs}.weight`]),
  );
}

/** Where a layer of attention and a perceptron is, as in Llama and most others. */
export function transformerLayer(layer: string): Sources {
  return {
    ...normSources(layer, {
      mixer_norm: "input_layernorm",
      channel_norm: "post_attention_layernorm",
    }),
    ...partSources({
      mixer: attentionSources(`${layer}.self_attn`),
      channel_mixer: perceptronSources(`${layer}.mlp`),
    }),
  };
}

function sourceOf(source: string | ParameterSource): ParameterSource {
  return typeof source === "string" ? { name: source } : source;
}

/** A source whose elements are changed behind what it does to them itself. */
function changedSource(
  source: string | ParameterSource,
  change: (from: Float32Array, to: Float32Array) => void,
): ParameterSource {
  const { map = (values: Float32Array): Float32Array => values, ...stored } = sourceOf(source);
  return {
    ...stored,
    map(values): Float32Array {
      const mapped = map(values);
      const changed = new Float32Array(mapped.length);
      change(mapped, changed);
      return changed;
    },
  };
}

/** A parameter that is stored without a constant factor. */
export function scaledSource(source: string | ParameterSource, factor: number): ParameterSource {
  if (factor === 1) return sourceOf(source);
  return changedSource(source, (from, to) => {
    for (let i = 0; i < from.length; i++) to[i] = factor * from[i];
  });
}

/** A parameter whose rows are stored without a constant factor each. */
export function scaledRows(
  source: string | ParameterSource,
  factors: readonly number[],
): ParameterSource {
  return changedSource(source, (from, to) => {
    const columns = from.length / factors.length;
    for (let i = 0; i < from.length; i++) to[i] = factors[Math.floor(i / columns)] * from[i];
  });
}

/** Sources with the weights and the bias of one linear map scaled. */
export function scaledMap(sources: Sources, map: string, factor: number): Sources {
  if (factor === 1) return sources;
  return Object.fromEntries(
    Object.entries(sources).map(([name, source]) => [
      name,
      name.startsWith(`${map}.`) ? scaledSource(source, factor) : source,
    ]),
  );
}

/** Norms that multiply by 1 + weight, as Gemma's: those among the sources. */
export function centredNorms(sources: Sources): Sources {
  return Object.fromEntries(
    Object.entries(sources).map(([name, source]) => [
      name,
      // Not those of a linear RNN's heads, which are as most.
      /norm\.weight$/.test(name) && name !== "mixer.norm.weight"
        ? changedSource(source, (from, to) => to.set(from.map((value) => 1 + value)))
        : source,
    ]),
  );
}

/** What a family makes of its config besides what {@linkcode MODEL_FIELDS} say. */
export interface TransformersModel
  extends Pick<ModelConfiguration, "embeddingScale" | "logitScale" | "logitSoftCap"> {
  /** The architecture's name, as results call it. */
  readonly family: string;
  /** The layers, first to last. */
  readonly layers: readonly LayerConfiguration[];
  /** Where a layer's parameters are. */
  sources(layer: string, index: number): Sources;
  /** Where other layouts keep a layer's. */
  readonly otherSources?: readonly ((layer: string, index: number) => Sources)[];
  /** Where embedding, final norm and head are, where not as in most. */
  readonly outer?: Sources;
  /** Whether the norms multiply by 1 + weight. @default false */
  readonly centredNorms?: boolean;
  /** What all names but the head's begin with, in one layout or several. @default ["model"] */
  readonly prefixes?: readonly string[];
  /** Tensors that a checkpoint may hold besides. */
  readonly besides?: RegExp;
}

/** A model in transformers' layout. */
export function readTransformers(
  config: v.InferOutput<typeof FIELDS>,
  of: TransformersModel,
): PublishedModel {
  const { family, layers, embeddingScale, logitScale, logitSoftCap } = of;
  const { prefixes = ["model"] } = of;
  const trainedLength = readTrainedLength(config);
  const norms = of.centredNorms ? centredNorms : (sources: Sources): Sources => sources;
  const tables = [of.sources, ...(of.otherSources ?? [])];
  const [sources, ...otherSources] = prefixes.flatMap((prefix) =>
    tables.map((table) =>
      sourcesOf(
        norms({
          "embedding.weight": `${prefix}.embed_tokens.weight`,
          "norm.weight": `${prefix}.norm.weight`,
          "head.weight": "lm_head.weight",
          ...of.outer,
        }),
        layers.map((_, index) => norms(table(`${prefix}.layers.${index}`, index))),
      )
    )
  );
  return {
    ...(trainedLength !== undefined && { trainedLength }),
    configuration: {
      family,
      vocabulary: config.vocab_size,
      width: config.hidden_size,
      normEpsilon: config.rms_norm_eps,
      tiedHead: config.tie_word_embeddings,
      ...(embeddingScale !== undefined && embeddingScale !== 1 && { embeddingScale }),
      ...(logitScale !== undefined && logitScale !== 1 && { logitScale }),
      ...(logitSoftCap !== undefined && { logitSoftCap }),
      layers,
    },
    sources,
    ...(otherSources.length > 0 && { otherSources }),
    besides: of.besides ?? /\.rotary_emb\.inv_freq$/,
  };
}

const FIELDS = v.object({
  ...ROTARY_FIELDS,
  vocab_size: VOCABULARY,
  hidden_size: SIZE,
  rms_norm_eps: POSITIVE,
  tie_word_embeddings: FLAG,
});
