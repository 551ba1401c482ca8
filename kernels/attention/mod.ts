/**
 * Softmax attention, flash style: online softmax over tiles, never a matrix of queries by keys.
 *
 * @module
 */
export {
  type AttentionBackwardInputs,
  type AttentionGradients,
  type AttentionOutputs,
  flashAttention,
  flashAttentionBackward,
} from "./flash_attention.ts";
export {
  type AttentionStepInputs,
  type AttentionStepOptions,
  type AttentionStepOutputs,
  flashAttentionStep,
} from "./flash_attention_step.ts";
export type { AttentionInputs, AttentionOptions } from "./options.ts";
export type { AttentionAlgorithm } from "./tiling.ts";
