import { type Gpu, sizeClass, type Tunable, tunable } from "../gpu/mod.ts";

/** A call, for the family's table. */
export type LinearAttentionProblem = {
  readonly batch: number;
  readonly time: number;
  readonly groups: number;
  readonly heads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  readonly decay: "none" | "head" | "key";
  readonly bonus: boolean;
  readonly dtype: string;
};

/** Tokens of a chunk, and bytes that an intermediate tensor may take. */
type ChunkValues = { readonly chunkSize: number; readonly workspaceBytes: number };

const MEGABYTE = 2 ** 20;

/**
 * The family's table. A software adapter has a cache of some MB to stay in, a GPU wants all the chunks at
 * once that its bindings can hold; and each slab more makes the backward pass compute states once more.
 */
export const LINEAR_ATTENTION_PASSES = {
  forward: passTunable("forward", 4 * MEGABYTE),
  backward: passTunable("backward", 64 * MEGABYTE),
};

function passTunable(
  pass: string,
  bytes: number,
): Tunable<LinearAttentionProblem, ChunkValues> {
  return tunable<LinearAttentionProblem, ChunkValues>(`linear_attention/${pass}`, {
    software: {
      "chunks of 32": { chunkSize: 32, workspaceBytes: bytes },
      "chunks of 16": { chunkSize: 16, workspaceBytes: bytes },
      "chunks of 64": { chunkSize: 64, workspaceBytes: bytes },
    },
    gpu: {
      "chunks of 64": { chunkSize: 64, workspaceBytes: 256 * MEGABYTE },
      "chunks of 32": { chunkSize: 32, workspaceBytes: 256 * MEGABYTE },
      "chunks of 128": { chunkSize: 128, workspaceBytes: 256 * MEGABYTE },
      "chunks of 64 in 32 MB": { chunkSize: 64, workspaceBytes: 32 * MEGABYTE },
    },
    classOf: ({ decay, keyDim, valueDim, time, heads, batch }) =>
      `${decay === "none" ? "no decay" : `a decay per ${decay}`}, ${keyDim} × ${valueDim}, ${
        sizeClass(batch * heads)
      } × ${sizeClass(time)}`,
  });
}

/**
 * The most tokens of sequences that are worked on as one chunk each: as attention, with a decay per pair.
 * That pays where products are cheap beside loads, as on a software adapter.
 */
export function oneChunkTokens({ adapter }: Gpu): number {
  return adapter.software ? 64 : 0;
}
