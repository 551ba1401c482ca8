import { type ChannelMixer, createChannelMixer } from "./channel_mixers.ts";
import type { LayerConfiguration, ModelConfiguration } from "./configuration.ts";
import { F32_BYTES, type Mixer } from "./mixers/mixer.ts";
import type { SingleMixerConfiguration } from "./mixers/configuration.ts";
import { createMixer } from "./mixers/registry.ts";
import {
  constant,
  free,
  linear,
  normal,
  type ParameterSpecification,
  prefixed,
} from "./parameters.ts";

/** A layer of a model. */
export interface Layer {
  /** What mixes along the sequence, where the layer has it. */
  readonly mixer: Mixer | undefined;
  /** What mixes the channels of a token, where the layer has it. */
  readonly channelMixer: ChannelMixer | undefined;
  /** Whether the mixers' inputs are normed. */
  readonly normsBefore: boolean;
  /** Whether the mixers' outputs are normed. */
  readonly normsBehind: boolean;
}

/** All parameters of a model, in their order. */
export function parameterSpecifications(
  configuration: ModelConfiguration,
): ParameterSpecification[] {
  const { vocabulary, width } = configuration;
  const norm = (name: string): ParameterSpecification[] => [
    free(`${name}.weight`, [width], constant(1)),
    ...(configuration.norm === "layer" ? [free(`${name}.bias`, [width], constant(0))] : []),
  ];
  const layers = buildLayers(configuration).map((layer) => {
    const sublayer = (name: string, mixer: Mixer | ChannelMixer): ParameterSpecification[] => [
      ...(layer.normsBefore ? norm(`${name}_norm`) : []),
      ...prefixed(name === "mixer" ? name : `${name}_mixer`, mixer.parameters),
      ...(layer.normsBehind ? norm(`${name}_output_norm`) : []),
    ];
    return [
      ...(layer.mixer ? sublayer("mixer", layer.mixer) : []),
      ...(layer.channelMixer ? sublayer("channel", layer.channelMixer) : []),
    ];
  });
  return [
    free("embedding.weight", [vocabulary, width], normal(1)),
    ...(configuration.embeddingNorm ? norm("embedding_norm") : []),
    ...layers.flatMap((specifications, index) => prefixed(`layers.${index}`, specifications)),
    ...norm("norm"),
    ...(configuration.tiedHead ? [] : [linear("head.weight", vocabulary, width)]),
  ];
}

/** The number of parameters of a model. */
export function parameterCount(configuration: ModelConfiguration): number {
  return parameterSpecifications(configuration)
    .reduce((sum, { shape }) => sum + shape.reduce((product, extent) => product * extent, 1), 0);
}

/** The mixers of a layer, those that are side by side one by one; a layer may have none. */
export function mixersOf({ mixer }: LayerConfiguration): readonly SingleMixerConfiguration[] {
  if (mixer === undefined) return [];
  return mixer.kind === "parallel" ? mixer.mixers : [mixer];
}

/** A layer with each of its mixers changed. */
export function mapMixers(
  layer: LayerConfiguration,
  change: (mixer: SingleMixerConfiguration) => SingleMixerConfiguration,
): LayerConfiguration {
  const { mixer } = layer;
  if (mixer === undefined) return layer;
  return {
    ...layer,
    mixer: mixer.kind === "parallel"
      ? { ...mixer, mixers: mixer.mixers.map(change) }
      : change(mixer),
  };
}

/** What a model sees of the past whose attention is limited in every layer, in tokens. */
export interface Sight {
  /** How many tokens back its widest layer sees. */
  readonly window: number;
  /** How many first tokens stay in sight. */
  readonly sinks: number;
  /** How many tokens back something can come from, layers handing on what they see: 1 + Σ (W − 1). */
  readonly reach: number;
  /** Whether recurrent layers beside the attention carry the whole past; left out where none does. */
  readonly carries?: true;
}

/**
 * How far the attention of such a model sees, undefined unless every layer of it is limited. What a
 * recurrent layer beside it carries is not counted: whether that recalls anything is the question.
 */
export function sightOf({ layers }: ModelConfiguration): Sight | undefined {
  const attention = layers
    .map((layer) => mixersOf(layer).flatMap((mixer) => mixer.kind === "attention" ? [mixer] : []))
    .filter(({ length }) => length > 0);
  const windows = attention.map((side) => Math.max(...side.map(({ window = Infinity }) => window)));
  const window = Math.max(0, ...windows);
  if (windows.length === 0 || !Number.isFinite(window)) return undefined;
  const carries = layers.flatMap(mixersOf)
    .some(({ kind }) => kind !== "attention" && kind !== "short_convolution");
  return {
    window,
    sinks: Math.max(...attention.flat().map(({ sinks = 0 }) => sinks)),
    reach: windows.reduce((sum, width) => sum + width - 1, 1),
    ...(carries ? { carries } : {}),
  };
}

/** Bytes of state for one sequence after a number of tokens, of a model that is not loaded. */
export function stateBytesOf(configuration: ModelConfiguration): (length: number) => number {
  const layers = buildLayers(configuration);
  return (length) => sumStateBytes(layers, configuration.width, length);
}

/** Bytes of state that layers hold for one sequence after a number of tokens. */
export function sumStateBytes(layers: readonly Layer[], width: number, length: number): number {
  return layers.reduce(
    (sum, { mixer, channelMixer }) =>
      sum + (mixer?.stateBytes(length) ?? 0) + (channelMixer?.carries ? F32_BYTES * width : 0),
    0,
  );
}

/** The layers that a configuration describes. @throws {RangeError} where it names an unknown mixer. */
export function buildLayers({ width, layers }: ModelConfiguration): Layer[] {
  const sublayers = layers.flatMap(({ mixer, channelMixer }) => [mixer, channelMixer])
    .filter((sublayer) => sublayer !== undefined);
  const outputGain = 1 / Math.sqrt(sublayers.length);
  return layers.map(({ mixer, channelMixer, norms = "before" }) => ({
    mixer: mixer && createMixer(width, mixer, outputGain),
    channelMixer: channelMixer && createChannelMixer(width, channelMixer, outputGain),
    normsBefore: norms !== "behind",
    normsBehind: norms !== "before",
  }));
}
