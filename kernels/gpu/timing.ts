import type { Gpu } from "./gpu.ts";
import { shaders } from "./shaders.ts";
import type { AnyTensor } from "./tensor.ts";
import copy_fours from "./copy_fours.wgsl" with { type: "text" };

const COPY_FOURS = shaders("gpu", { copy_fours }).kernel("copy_fours");
/** Vectors of four that a copy moves: 32 MB, which no cache that is near holds twice. */
const COPIED_FOURS = 2 ** 21;
/** How often copies are timed, and how many at a time. */
const ROUNDS = 4;
const COPIES = 8;
/** What Deno takes to settle the promise of work that is done: 11 ms, and more where it is busy. */
const SETTLING_MILLISECONDS = 60;

/**
 * Blocks until the GPU is done with what was queued: Deno's `onSubmittedWorkDone()` does so in the call
 * itself, and settles its promise 10 ms later. What went wrong in the work is thrown by the next read.
 */
export function blockUntilDone(gpu: Gpu): void {
  gpu.flush();
  gpu.device.queue.onSubmittedWorkDone().catch(() => {});
}

/**
 * Milliseconds from the call until the GPU is done with what was queued, by `run` too: until
 * {@linkcode blockUntilDone} returns. A promise that takes much longer to settle is counted, as the work
 * may have.
 *
 * @param run Queues the work, by the time a promise settles where it returns one.
 * @throws whatever went wrong in the work.
 */
export async function timeWork(gpu: Gpu, run: () => void | Promise<void>): Promise<number> {
  const start = performance.now();
  const queued = run();
  if (queued) await queued;
  const done = gpu.sync(); // blocks in the call
  const blocked = performance.now() - start;
  await done;
  const settled = performance.now() - start;
  return settled - blocked > SETTLING_MILLISECONDS + blocked ? settled : blocked;
}

/** Work that is reading and writing alone. */
export interface CopyWork {
  /** Queues a copy. */
  readonly run: () => void;
  /** Read and written by a copy. */
  readonly bytes: number;
  /** What is read, and what is written. The caller's. */
  readonly tensors: readonly AnyTensor[];
}

/** Makes work that copies 32 MB. */
export function copyWork(gpu: Gpu): CopyWork {
  const source = gpu.tensor([COPIED_FOURS, 4]);
  const destination = gpu.empty([COPIED_FOURS, 4]);
  return {
    bytes: 2 * source.bytes,
    tensors: [source, destination],
    run: () =>
      gpu.dispatch(COPY_FOURS, {
        uniform: { fours: COPIED_FOURS },
        read: { source },
        write: { destination },
        workgroups: COPIED_FOURS / 64,
      }),
  };
}

/**
 * How many bytes per second a copy reads and writes: what no kernel surpasses that does so. Takes 64 MB
 * of the GPU's memory meanwhile.
 */
export async function measureCopyBandwidth(gpu: Gpu): Promise<number> {
  const { run, bytes, tensors } = copyWork(gpu);
  try {
    await timeWork(gpu, run); // compiles the kernel
    let fastest = Infinity;
    for (let round = 0; round < ROUNDS; round++) {
      const milliseconds = await timeWork(gpu, () => {
        for (let i = 0; i < COPIES; i++) run();
      });
      fastest = Math.min(fastest, milliseconds);
    }
    return COPIES * bytes / fastest * 1000;
  } finally {
    for (const tensor of tensors) tensor[Symbol.dispose]();
  }
}
