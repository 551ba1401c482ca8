import {
  type Chooser,
  type Gpu,
  LOOP_ITERATIONS,
  sizeClass,
  type Tensor,
  tunable,
} from "../gpu/mod.ts";

/** Invocations in a workgroup of every kernel of the family. */
export const WORKGROUP_SIZE = 64;

/** The workgroups that give each of so many elements an invocation. */
export function workgroupsFor(invocations: number, workgroupSize = WORKGROUP_SIZE): number {
  return Math.ceil(invocations / workgroupSize);
}

/** Channels that an invocation carries side by side: one, or so many fours. */
export type Slice = 1 | 4 | 8 | 16 | 32;

/** Invocations that a software adapter computes at a time. */
const SIMD_WIDTH = 8;

/** How a scan is cut for the adapter. */
export interface Tiling {
  /** Steps per chunk. */
  readonly chunkSize: number;
  /** Channels that an invocation carries. */
  readonly slice: Slice;
  /** Invocations per workgroup. */
  readonly workgroupSize: number;
}

/** A scan, for the family's table. */
export type ScanProblem = {
  readonly batch: number;
  readonly time: number;
  readonly channels: number;
};

const SCAN_CLASS = ({ batch, time, channels }: ScanProblem): string =>
  `${sizeClass(batch * channels)} × ${sizeClass(time)}`;

const SELECTIVE_CLASS = (problem: SelectiveScanProblem): string =>
  `${SCAN_CLASS(problem)}, ${problem.state} states`;

/** The chunk of a scan, as so many times the table's own. */
export const SCAN = tunable<ScanProblem, { readonly chunks: number }>("scan/chunk", {
  software: { "1 ×": { chunks: 1 } },
  gpu: {
    "1 ×": { chunks: 1 },
    "½ ×": { chunks: 0.5 },
    "2 ×": { chunks: 2 },
    "4 ×": { chunks: 4 },
  },
  classOf: SCAN_CLASS,
});

/** A selective scan. */
export type SelectiveScanProblem = ScanProblem & { readonly state: number };

/** What holds for a software adapter, whose loads cost as much as 60 multiplications: four channels an invocation. */
const IN_REGISTERS = {
  /** States of a channel that an invocation holds. */
  states: 16,
  /** Invocations that keep all cores busy. */
  leastChains: 32,
  /** What the backward pass may note of states. */
  historyBytes: 32 * 2 ** 20,
  /** Tensors that each kernel binds. */
  bindings: { forward: 11, backward: 21 },
};

/** Whether an invocation can hold the states of four channels. */
function holdsStates(
  pass: "forward" | "backward",
  { batch, time, channels, state }: SelectiveScanProblem,
  { adapter, bindingLimit, device: { limits } }: Chooser,
): boolean {
  const historyBytes = 4 * batch * time * channels * state;
  const historyFits = historyBytes <= Math.min(IN_REGISTERS.historyBytes, bindingLimit);
  return adapter.software && channels % 4 === 0 && channels > 0 && batch > 0 && state % 4 === 0 &&
    state > 0 && state <= IN_REGISTERS.states && time > 0 && 2 * time < LOOP_ITERATIONS &&
    (pass === "forward" || historyFits) &&
    limits.maxStorageBuffersPerShaderStage >= IN_REGISTERS.bindings[pass];
}

/** Whether there are so many channels that they keep all cores busy. */
function hasManyChains({ batch, channels }: SelectiveScanProblem): boolean {
  return batch * channels / 4 >= IN_REGISTERS.leastChains;
}

const HELD = "states in registers";

/**
 * The chunk of a selective scan, as so many times the table's own; or whether it is walked token by token
 * instead, with the states of four channels in registers, where it is not told how to be cut.
 */
export const SELECTIVE_SCAN = tunable<
  SelectiveScanProblem,
  { readonly chunks: number; readonly inRegisters?: true }
>("scan/selective_chunk", {
  software: {
    "1 ×": { chunks: 1 },
    "½ ×": { chunks: 0.5 },
    "2 ×": { chunks: 2 },
    [HELD]: { chunks: 1, inRegisters: true },
  },
  gpu: {
    "1 ×": { chunks: 1 },
    "½ ×": { chunks: 0.5 },
    "2 ×": { chunks: 2 },
    "4 ×": { chunks: 4 },
  },
  standard: (problem, gpu) =>
    hasManyChains(problem) && holdsStates("forward", problem, gpu) ? HELD : undefined,
  fits: ({ inRegisters }, problem, gpu) => !inRegisters || holdsStates("forward", problem, gpu),
  classOf: SELECTIVE_CLASS,
});

/** Whether the gradients of a selective scan are walked token by token too. */
export const SELECTIVE_SCAN_BACKWARD = tunable<
  SelectiveScanProblem,
  { readonly inRegisters: boolean }
>("scan/selective_backward", {
  software: { "in chunks": { inRegisters: false }, [HELD]: { inRegisters: true } },
  gpu: { "in chunks": { inRegisters: false } },
  standard: (problem, gpu) =>
    hasManyChains(problem) && holdsStates("backward", problem, gpu) ? HELD : undefined,
  fits: ({ inRegisters }, problem, gpu) => !inRegisters || holdsStates("backward", problem, gpu),
  classOf: SELECTIVE_CLASS,
});

/**
 * The family's table of adapters.
 *
 * A GPU hides latency with many invocations: one channel each. The longest chain of dependent steps is
 * two chunks (the first and the last pass) and the number of chunks (the pass between them), which is
 * shortest where a chunk takes √(time / 2) steps.
 *
 * A software adapter computes eight invocations at a time, one eight after the other, each from its
 * first step to its last: what such an eight reads of a step should be a long piece of memory, or every
 * step is a new page and a cache line that nobody foresaw. So an invocation carries as many channels as
 * leave eight invocations per row. Cutting costs it a second reading of the inputs and pays only where
 * there are fewer than eight invocations.
 */
export function scanTiling(gpu: Gpu, [batch, time, channels]: readonly number[]): Tiling {
  if (!gpu.adapter.software) {
    const { chunks } = SCAN.choose(gpu, { batch, time, channels });
    return { chunkSize: chunks * balancedChunk(time), slice: 1, workgroupSize: WORKGROUP_SIZE };
  }
  const slice =
    ([32, 16, 8] as const).find((wide) => channels % wide === 0 && channels / wide >= SIMD_WIDTH) ??
      (channels % 4 === 0 ? 4 : 1);
  const chunkSize = batch * channels / slice < SIMD_WIDTH ? 256 : Math.max(1, time);
  return { chunkSize, slice, workgroupSize: SIMD_WIDTH };
}

/** The chunk of the shortest chain of dependent steps. */
function balancedChunk(time: number): number {
  return Math.max(16, 2 ** Math.ceil(Math.log2(Math.sqrt(time / 2))));
}

/** How a selective scan is cut for the adapter. */
export interface SelectiveTiling {
  /** Steps per chunk of the forward pass. */
  readonly chunkSize: number;
  /** Whether the chunks run at once, for which every exponential is taken twice; or one after the other. */
  readonly atOnce: boolean;
  /** Channels, and invocations, per workgroup. */
  readonly workgroupSize: number;
  /** Whether it is walked token by token instead, with states in registers. */
  readonly inRegisters: boolean;
}

/**
 * The table of adapters for the selective scan. The channels alone keep the few cores of a software
 * adapter busy: there the chunks run one after the other, and what an invocation leaves unused of a
 * cache line is still in the cache when its neighbour comes.
 */
export function selectiveTiling(
  gpu: Gpu,
  problem: SelectiveScanProblem,
): SelectiveTiling {
  const { chunks, inRegisters = false } = SELECTIVE_SCAN.choose(gpu, problem);
  if (gpu.adapter.software) {
    const atOnce = problem.batch * problem.channels < 32;
    return { chunkSize: 256 * chunks, atOnce, workgroupSize: 16, inRegisters };
  }
  const chunkSize = chunks * balancedChunk(problem.time);
  return { chunkSize, atOnce: true, workgroupSize: WORKGROUP_SIZE, inRegisters };
}

/** The constants of `slice.wgsl` for so many channels per invocation. */
export function sliceForm(slice: Slice): { SCALAR: boolean; FOURS: number; FOUR_STEPS: boolean } {
  return { SCALAR: slice === 1, FOURS: Math.ceil(slice / 4), FOUR_STEPS: slice <= 4 };
}

/** A new tensor with the first elements of `source`, or zeros if there is none. */
export function copyOf(gpu: Gpu, source: Tensor | undefined, shape: readonly number[]): Tensor {
  const copy = gpu.tensor(shape);
  if (source) gpu.copy(source, copy, { elements: copy.size });
  return copy;
}

/**
 * The chunk size of a scan, held to where neither the steps of a chunk nor the chunks of a sequence are
 * more than an invocation may go round.
 *
 * @throws {RangeError} where a chunk does not have a positive integer of steps.
 */
export function feasibleChunkSize(op: string, chunkSize: number, time: number): number {
  if (!Number.isInteger(chunkSize) || chunkSize <= 0) {
    throw new RangeError(
      `Cannot run ${op}() as chunkSize must be a positive integer: current value is ${chunkSize}`,
    );
  }
  return Math.max(Math.min(chunkSize, LOOP_ITERATIONS), Math.ceil(time / LOOP_ITERATIONS));
}
