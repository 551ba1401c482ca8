/**
 * What turns gradients into steps: AdamW, and the clipping of the gradients' norm.
 *
 * @module
 */
export * from "./adam_w.ts";
export * from "./gradient_norm.ts";
