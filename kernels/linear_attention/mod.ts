/**
 * Linear attention: a matrix state a head, without decay, with one a head or one a key, chunked.
 *
 * @module
 */
export * from "./linear_attention.ts";
export * from "./linear_attention_backward.ts";
export * from "./linear_attention_step.ts";
export * from "./linear_attention_recurrent.ts";
export type { LinearAttentionInputs, LinearAttentionOptions } from "./problem.ts";
