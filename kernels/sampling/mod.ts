/**
 * From logits to tokens, on the GPU.
 *
 * @module
 */
export * from "./argmax.ts";
