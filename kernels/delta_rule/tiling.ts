import { type Chooser, LOOP_ITERATIONS, sizeClass, type Tunable, tunable } from "../gpu/mod.ts";

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

/**
 * Rows of a chunk, and invocations of a workgroup; and whether a call is worked on token by token instead,
 * with whole states in registers, where it is not told how to be cut.
 */
type ChunkValues = {
  readonly chunkSize: number;
  readonly workgroupSize: number;
  readonly inRegisters?: true;
};

/** What holds for a software adapter, whose loads cost as much as 60 multiplications, with states in registers. */
const IN_REGISTERS = {
  /** Numbers of a state that an invocation holds: twice as many take four times as long to compile. */
  cells: 256,
  /** Heads of all sequences that keep all cores busy. */
  leastUnits: 16,
  /** What the backward pass may note of states. */
  historyBytes: 32 * 2 ** 20,
  workgroupSize: 8,
  /** Tensors that the backward kernel binds. */
  bindings: 15,
};

/** Whether an invocation can hold a state. */
function holdsStates(
  { batch, time, heads, keyHeads, keyDim, valueDim, rule }: DeltaRuleProblem,
  { adapter, bindingLimit, device: { limits } }: Chooser,
): boolean {
  const historyBytes = 4 * batch * heads * time * (keyDim + 1) * valueDim;
  return adapter.software && rule === "delta" && keyHeads === heads &&
    keyDim % 4 === 0 && valueDim % 4 === 0 && keyDim * valueDim > 0 &&
    keyDim * valueDim <= IN_REGISTERS.cells && 2 * time < LOOP_ITERATIONS &&
    historyBytes <= Math.min(IN_REGISTERS.historyBytes, bindingLimit) &&
    limits.maxStorageBuffersPerShaderStage >= IN_REGISTERS.bindings;
}

const HELD = "states in registers";

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
      [HELD]: { ...values(TILE, IN_REGISTERS.workgroupSize), inRegisters: true },
    },
    gpu: {
      "chunks of 16 by 32": values(TILE, 32),
      "chunks of 32 by 32": values(2 * TILE, 32),
      "chunks of 64 by 32": values(4 * TILE, 32),
      "chunks of 16 by 64": values(TILE, 64),
      "chunks of 32 by 64": values(2 * TILE, 64),
    },
    // Small states of many sequences.
    standard: (problem, gpu) => {
      const isSuited = problem.batch * problem.heads >= IN_REGISTERS.leastUnits;
      return isSuited && holdsStates(problem, gpu) ? HELD : undefined;
    },
    fits: ({ inRegisters }, problem, gpu) => !inRegisters || holdsStates(problem, gpu),
    classOf: ({ rule, decay, keyDim, valueDim, time, heads, batch }) =>
      `${rule}, ${
        decay === "none" ? "no decay" : `a decay per ${decay}`
      }, ${keyDim} × ${valueDim}, ${sizeClass(batch * heads)} × ${sizeClass(time)}`,
  });
}
