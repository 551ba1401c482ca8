/**
 * The delta rule: DeltaNet, Gated DeltaNet and, with a decay a key channel, Kimi Delta Attention.
 * Chunked with the WY form, forward and backward; a step for generation.
 *
 * @module
 */
export * from "./delta_rule.ts";
