/**
 * Rotary position embedding, forward and backward, its frequencies, and a token's way into a cache.
 *
 * @module
 */
export * from "./frequencies.ts";
export * from "./rotary.ts";
export * from "./rotary_append.ts";
