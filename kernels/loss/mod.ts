/**
 * Softmax cross-entropy with a mask, forward and backward.
 *
 * @module
 */
export * from "./cross_entropy.ts";
