import { sizeClass, type Tunable, tunable } from "../gpu/mod.ts";

/** Rows of a tile of blocks that an invocation keeps in registers: a chunk is whole tiles. */
export const TILE = 16;

/** A call, for the family's table. */
export type DeltaRuleProblem = {
  readonly batch: number;
  readonly time: number;
  readonly heads: number;
  readonly keyHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  readonly rule: "delta" | "rwkv7";
  readonly decay: "none" | "head" | "key";
};

/** Rows of a chunk, and invocations of a workgroup. */
type ChunkValues = { readonly chunkSize: number; readonly workgroupSize: number };

/** The family's table: a software adapter's vectors are 8 wide, a GPU's 32 or more. */
export const DELTA_RULE_PASSES = {
  forward: passTunable("forward"),
  backward: passTunable("backward"),
};

function passTunable(pass: string): Tunable<DeltaRuleProblem, ChunkValues> {
  const values = (chunkSize: number, workgroupSize: number): ChunkValues => ({
    chunkSize,
    workgroupSize,
  });
  return tunable<DeltaRuleProblem, ChunkValues>(`delta_rule/${pass}`, {
    software: {
      "chunks of 16 by 8": values(TILE, 8),
      "chunks of 32 by 8": values(2 * TILE, 8),
      "chunks of 16 by 16": values(TILE, 16),
    },
    gpu: {
      "chunks of 16 by 32": values(TILE, 32),
      "chunks of 32 by 32": values(2 * TILE, 32),
      "chunks of 64 by 32": values(4 * TILE, 32),
      "chunks of 16 by 64": values(TILE, 64),
      "chunks of 32 by 64": values(2 * TILE, 64),
    },
    classOf: ({ rule, decay, keyDim, valueDim, time, heads, batch }) =>
      `${rule}, ${
        decay === "none" ? "no decay" : `a decay per ${decay}`
      }, ${keyDim} × ${valueDim}, ${sizeClass(batch * heads)} × ${sizeClass(time)}`,
  });
}
