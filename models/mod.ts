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
} from "./checkpoints/checkpoint.ts";
export {
  readSafetensors,
  type StoredTensor,
  type StoredTensors,
  writeSafetensors,
} from "./checkpoints/safetensors.ts";
export { type ByteSource } from "./checkpoints/byte_source.ts";
export { DownloadError, type DownloadProgress } from "./checkpoints/download.ts";
export {
  cacheFolder,
  downloadModel,
  type DownloadOptions,
  type HubModel,
  isHubModel,
  parseHubModel,
} from "./checkpoints/hub.ts";
export { type StoredDataType } from "./checkpoints/data_types.ts";
export {
  openWeights,
  type OpenWeightsOptions,
  type StoredBytes,
  type TensorDescription,
  type TensorLocation,
  Weights,
} from "./checkpoints/weights.ts";
export { intervene, INTERVENTION_NAMES, type InterventionContext } from "./interventions.ts";
export { type ChannelMixer, type ChannelMixerConfiguration } from "./channel_mixers.ts";
export {
  architecture,
  type ArchitectureOptions,
  ARCHITECTURES,
  type LayerConfiguration,
  type ModelConfiguration,
} from "./configuration.ts";
export { type Mixed, type Mixer, type MixerState } from "./mixers/mixer.ts";
export { createMixer, type MixerConfiguration } from "./mixers/registry.ts";
export { type Batch, type GenerateOptions, Model, ModelState, type Scores } from "./model.ts";
export { type Initial, type Parameters, type ParameterSpecification } from "./parameters.ts";
export { type Backward, Tape, Variable } from "./tape.ts";
export * from "./tokenizers/mod.ts";
export { loadZooModel, ZOO, zooDirectory } from "./zoo/mod.ts";
