/**
 * Token embeddings, forward and backward.
 *
 * @module
 */
export * from "./embedding.ts";
