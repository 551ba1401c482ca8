/**
 * Rotary position embedding, forward and backward, and its frequencies.
 *
 * @module
 */
export * from "./frequencies.ts";
export * from "./rotary.ts";
