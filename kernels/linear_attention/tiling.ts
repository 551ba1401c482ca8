import {
  type Chooser,
  type Gpu,
  LOOP_ITERATIONS,
  sizeClass,
  type Tunable,
  tunable,
} from "../gpu/mod.ts";

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

/**
 * Tokens of a chunk, and bytes that an intermediate tensor may take; and whether a call is worked on token by
 * token instead, with whole states in registers, where it is not told how to be cut.
 */
export type ChunkValues = {
  readonly chunkSize: number;
  readonly workspaceBytes: number;
  readonly inRegisters?: true;
};

const MEGABYTE = 2 ** 20;

/** What holds for a software adapter, whose loads cost as much as 60 multiplications, with states in registers. */
const IN_REGISTERS = {
  /** Numbers of a state that an invocation holds: twice as many take four times as long to compile. */
  cells: 256,
  /** Heads of all sequences that keep all cores busy. */
  leastUnits: 16,
  /** What the backward pass may note of states. */
  historyBytes: 32 * MEGABYTE,
  /** Tensors that the backward kernel binds. */
  bindings: 13,
};

/** Whether an invocation can hold a state. */
function holdsStates(
  { batch, time, groups, heads, keyDim, valueDim, decay, bonus, dtype }: LinearAttentionProblem,
  { adapter, bindingLimit, device: { limits } }: Chooser,
): boolean {
  const historyBytes = 4 * batch * heads * time * keyDim * valueDim;
  return adapter.software && decay === "key" && !bonus && groups === heads && dtype === "f32" &&
    keyDim % 4 === 0 && valueDim % 4 === 0 && keyDim * valueDim > 0 &&
    keyDim * valueDim <= IN_REGISTERS.cells && 2 * time < LOOP_ITERATIONS &&
    historyBytes <= Math.min(IN_REGISTERS.historyBytes, bindingLimit) &&
    limits.maxStorageBuffersPerShaderStage >= IN_REGISTERS.bindings;
}

const HELD = "states in registers";

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
      [HELD]: { chunkSize: 32, workspaceBytes: bytes, inRegisters: true },
    },
    gpu: {
      "chunks of 64": { chunkSize: 64, workspaceBytes: 256 * MEGABYTE },
      "chunks of 32": { chunkSize: 32, workspaceBytes: 256 * MEGABYTE },
      "chunks of 128": { chunkSize: 128, workspaceBytes: 256 * MEGABYTE },
      "chunks of 64 in 32 MB": { chunkSize: 64, workspaceBytes: 32 * MEGABYTE },
    },
    // Small states of many sequences.
    standard: (problem, gpu) => {
      const isSuited = problem.batch * problem.heads >= IN_REGISTERS.leastUnits;
      return isSuited && holdsStates(problem, gpu) ? HELD : undefined;
    },
    fits: ({ inRegisters }, problem, gpu) => !inRegisters || holdsStates(problem, gpu),
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
