/**
 * Matrix states with a delta update: DeltaNet, Gated DeltaNet, with a decay per key channel Kimi Delta
 * Attention, and RWKV-7's diagonal-plus-low-rank form. Chunked with the WY form, forward and backward;
 * a step for generation.
 *
 * @module
 */
export * from "./delta_rule.ts";
export * from "./rwkv7.ts";
