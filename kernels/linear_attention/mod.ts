/**
 * Linear attention: a matrix state per head, without decay, with one per head or one per key, chunked.
 *
 * @module
 */
export * from "./linear_attention.ts";
export * from "./linear_attention_backward.ts";
export * from "./linear_attention_step.ts";
export * from "./linear_attention_recurrent.ts";
export type { LinearAttentionInputs, LinearAttentionOptions } from "./problem.ts";
