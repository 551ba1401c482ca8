/**
 * RWKV-7's matrix state, diagonal plus low rank: chunked, forward and backward; a step for generation.
 *
 * @module
 */
export * from "./rwkv7.ts";
