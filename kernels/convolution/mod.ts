/**
 * Short causal depthwise convolutions with a carried tail.
 *
 * @module
 */
export * from "./causal_convolution.ts";
export * from "./mamba2_inputs.ts";
export * from "./mamba2_inputs_backward.ts";
