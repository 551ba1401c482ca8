/**
 * The models: configurations, layers over the kernels, checkpoints, generation.
 *
 * @module
 */
export {
  checkDescribed,
  describeModel,
  loadModel,
  type LoadModelOptions,
  type ModelDescription,
  saveModel,
  type SaveModelOptions,
} from "./checkpoints/checkpoint.ts";
export {
  readSafetensors,
  type StoredTensor,
  type StoredTensors,
  writeSafetensors,
} from "./checkpoints/safetensors.ts";
export type { ModelFiles, WeightsContent } from "./checkpoints/place.ts";
export { type ByteSource } from "./checkpoints/byte_source.ts";
export type { StoredElements } from "./checkpoints/loader.ts";
export { DownloadError, type DownloadProgress } from "./checkpoints/download.ts";
export {
  cacheFolder,
  downloadModel,
  type DownloadOptions,
  type HubModel,
  isHubModel,
  parseHubModel,
} from "./checkpoints/hub.ts";
export type { HubOptions } from "./checkpoints/hub_repository.ts";
export { type StoredDataType } from "./checkpoints/data_types.ts";
export type { TensorDescription, TensorLocation } from "./checkpoints/tensor_location.ts";
export {
  openWeights,
  type OpenWeightsOptions,
  type StoredBytes,
  Weights,
} from "./checkpoints/weights.ts";
export { intervene, INTERVENTION_NAMES, type InterventionContext } from "./interventions.ts";
export {
  type ChannelMixed,
  type ChannelMixer,
  type ChannelMixerConfiguration,
} from "./channel_mixers.ts";
export {
  type Architecture,
  architecture,
  type ArchitectureOptions,
  ARCHITECTURES,
  type LayerConfiguration,
  type ModelConfiguration,
} from "./configuration.ts";
export { type ParameterValues, WEIGHT_TYPES, weightBytes, type WeightType } from "./matrices.ts";
export { mapMixers, mixersOf } from "./layers.ts";
export { type AttentionConfiguration, type DynamicScaling } from "./mixers/attention.ts";
export type { OwnMixerConfiguration, SingleMixerConfiguration } from "./mixers/configuration.ts";
export type { DeltaNetConfiguration } from "./mixers/delta_net.ts";
export type { GlaConfiguration } from "./mixers/gla.ts";
export type { HgrnConfiguration } from "./mixers/hgrn.ts";
export type { Hgrn2Configuration } from "./mixers/hgrn2.ts";
export type { KdaConfiguration } from "./mixers/kda.ts";
export type { LinearAttentionConfiguration } from "./mixers/linear_attention.ts";
export type { Mamba1Configuration } from "./mixers/mamba1.ts";
export type { Mamba2Configuration } from "./mixers/mamba2.ts";
export { type Mixed, type Mixer, type MixerState } from "./mixers/mixer.ts";
export type { ParallelConfiguration } from "./mixers/parallel.ts";
export type { RetNetConfiguration } from "./mixers/retnet.ts";
export type { RgLruConfiguration } from "./mixers/rg_lru.ts";
export type { Rwkv6Configuration } from "./mixers/rwkv6.ts";
export { type Rwkv7Configuration, type Rwkv7Ranks } from "./mixers/rwkv7.ts";
export type { ShortConvolutionConfiguration } from "./mixers/short_convolution.ts";
export {
  createMixer,
  defineMixer,
  type MixerConfiguration,
  type MixerFactory,
} from "./mixers/registry.ts";
export type { GenerateOptions } from "./generation.ts";
export { Model } from "./model.ts";
export { NotANumberError, type NotANumberPlace } from "./not_a_number.ts";
export type { Batch, ScoreOptions, Scores } from "./scoring.ts";
export { ModelState } from "./state.ts";
export * as operations from "./operations.ts";
export {
  constant,
  free,
  fromUniform,
  type Initial,
  linear,
  normal,
  type Parameters,
  type ParameterSpecification,
  prefixed,
  scoped,
} from "./parameters.ts";
export * as recurrences from "./recurrences.ts";
export { type Backward, Parts, Tape, Variable } from "./tape.ts";
export * from "./tokenizers/mod.ts";
export {
  COMMITTED_MODELS,
  type CommittedModel,
  loadZooModel,
  ZOO,
  zooDirectory,
} from "./zoo/mod.ts";
