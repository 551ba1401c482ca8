import type { Gpu } from "../kernels/gpu/mod.ts";
import type { ModelConfiguration } from "./configuration.ts";
import { mixersOf } from "./layers.ts";
import { bindingBytes, keptParameters } from "./matrices.ts";
import { F32_BYTES } from "./mixers/mixer.ts";

/** Tokens of a segment in streaming prefill, all sequences of a batch together; fewer for small bindings. */
const SEGMENT_TOKENS = 4096;
/** Segments shorter than what fits are whole chunks of the kernels that cut time into them. */
const CHUNK_TOKENS = 64;
/** Tokens before a segment that convolutions and token shifts read with it. */
const TOKENS_BEFORE = 4;
/** To a multiple of this, kernels fill the rows of a head up. */
const HEAD_MULTIPLE = 8;
/** What the mixers' configurations call the size of a head's rows. */
const FILLED = /^(?:head|key|value|state)Dim$/;

/** Values of one token in the widest tensor that a layer makes of it. */
function widestActivation(configuration: ModelConfiguration): number {
  // What a linear map takes or gives; with 4 bits, only those and the embedding are not kept in f32.
  const widths = keptParameters(configuration, "int4")
    .filter(({ dtype }) => dtype === "int4")
    .flatMap(({ shape }) => shape);
  const dims = configuration.layers.flatMap(mixersOf)
    .flatMap((mixer) =>
      Object.entries(mixer).flatMap(([name, value]) => FILLED.test(name) ? [Number(value)] : [])
    );
  const filled = dims.map((dim) => Math.ceil(dim / HEAD_MULTIPLE) * HEAD_MULTIPLE / dim);
  return Math.max(configuration.width, ...widths) * Math.max(1, ...filled);
}

/**
 * How many tokens can be read at once, all sequences of a batch together, so that none of their values
 * exceed a binding; 1 at least.
 */
export function mostTokens(gpu: Gpu, configuration: ModelConfiguration): number {
  const bytes = F32_BYTES * widestActivation(configuration);
  return Math.max(1, Math.floor(bindingBytes(gpu) / bytes) - TOKENS_BEFORE);
}

/** Tokens of each sequence that streaming prefill reads at once, where so many of all can be. */
export function segmentTokens(most: number, batch: number): number {
  if (most >= SEGMENT_TOKENS) return Math.max(1, Math.floor(SEGMENT_TOKENS / batch));
  const each = Math.max(1, Math.floor(most / batch));
  return each < CHUNK_TOKENS ? each : each - each % CHUNK_TOKENS;
}

/** Tokens in pieces of at most so many. */
export function* pieces(tokens: Uint32Array, most: number): Generator<Uint32Array> {
  for (let start = 0; start < tokens.length; start += most) {
    yield tokens.subarray(start, start + most);
  }
}
