import sumBlocksSource from "./sum_blocks.wgsl" with { type: "text" };
import { type Gpu, type Kernel, kernel, LOOP_ITERATIONS, type Tensor } from "../gpu/mod.ts";

/** Invocations in a workgroup of every kernel of the family. */
export const WORKGROUP_SIZE = 64;

/** The workgroups that give each of so many elements an invocation. */
export function workgroupsFor(invocations: number): number {
  return Math.ceil(invocations / WORKGROUP_SIZE);
}

/** Channels an invocation carries side by side. */
export type Lanes = 1 | 4;

/** How a scan is cut for the adapter. */
export interface Tiling {
  /** Steps a chunk. */
  readonly chunkSize: number;
  /** Channels an invocation carries. */
  readonly lanes: Lanes;
}

/**
 * The family's table of adapters.
 *
 * A GPU hides latency with many invocations: one channel each. The longest chain of dependent steps is
 * two chunks (the first and the last pass) and the number of chunks (the pass between them), which is
 * shortest where a chunk takes √(time / 2) steps.
 *
 * A software adapter has few cores and reads whole cache lines: four channels an invocation. Cutting
 * costs it a second reading of the inputs and pays only where a sequence falls out of the cache.
 */
export function scanTiling(gpu: Gpu, time: number, channels: number): Tiling {
  if (gpu.adapter.software) {
    return {
      chunkSize: time * channels <= 2 ** 18 ? Math.max(1, time) : 256,
      lanes: channels % 4 === 0 ? 4 : 1,
    };
  }
  return { chunkSize: Math.max(16, 2 ** Math.ceil(Math.log2(Math.sqrt(time / 2)))), lanes: 1 };
}

/** How a selective scan is cut for the adapter. */
export interface SelectiveTiling {
  /** Steps a chunk of the forward pass. */
  readonly chunkSize: number;
  /** Channels a workgroup. */
  readonly lanes: number;
}

/**
 * The table of adapters for the selective scan. Here cutting costs every exponential a second time: a
 * software adapter, whose few cores the channels alone keep busy, does not cut.
 */
export function selectiveTiling(gpu: Gpu, time: number, chains: number): SelectiveTiling {
  if (gpu.adapter.software) {
    return { chunkSize: chains < 32 ? 256 : Math.max(1, time), lanes: 16 };
  }
  return { chunkSize: scanTiling(gpu, time, chains).chunkSize, lanes: 64 };
}

const SUM_BLOCKS = kernel("sum_blocks", sumBlocksSource);

/** Blocks that an invocation of `sum_blocks` sums. */
const BLOCKS = 4096;

/** Sums `[blocks, columns]` over its blocks, in their order; many blocks part by part. */
export function sumBlocks(gpu: Gpu, partial: Tensor): Tensor {
  const [blocks, columns] = partial.shape;
  const parts = Math.max(1, Math.ceil(blocks / BLOCKS));
  const total = gpu.empty(parts === 1 ? [columns] : [parts, columns]);
  gpu.dispatch(SUM_BLOCKS, {
    constants: { WORKGROUP_SIZE, BLOCKS },
    uniform: [blocks, columns],
    read: { partial },
    write: { total },
    workgroups: workgroupsFor(parts * columns),
  });
  if (parts === 1) return total;
  using rest = total;
  return sumBlocks(gpu, rest);
}

const ONE_LANE = "alias Lane = f32;";

/** A kernel whose invocations carry one channel each, and its twin whose invocations carry four. */
export function laneKernels(label: string, source: string): Readonly<Record<Lanes, Kernel>> {
  if (!source.includes(ONE_LANE)) throw new Error(`Cannot widen ${label} as it has no Lane`);
  return {
    1: kernel(label, source),
    4: kernel(label, source.replace(ONE_LANE, "alias Lane = vec4f;")),
  };
}

/** A new tensor with the first elements of `source`, or zeros where there is none. */
export function copyOf(gpu: Gpu, source: Tensor | undefined, shape: readonly number[]): Tensor {
  const copy = gpu.tensor(shape);
  if (source) gpu.copy(source, copy, { elements: copy.size });
  return copy;
}

/**
 * The chunk size of a scan, held to where neither the steps of a chunk nor the chunks of a sequence are
 * more than an invocation may go round.
 *
 * @throws {RangeError} where a chunk has no whole number of steps over 0.
 */
export function feasibleChunkSize(op: string, chunkSize: number, time: number): number {
  if (!Number.isInteger(chunkSize) || chunkSize <= 0) {
    throw new RangeError(
      `Cannot run ${op}() as chunkSize must be a whole number over 0: current value is ${chunkSize}`,
    );
  }
  return Math.max(Math.min(chunkSize, LOOP_ITERATIONS), Math.ceil(time / LOOP_ITERATIONS));
}
