/**
 * Times of queued GPU work, for `deno bench` and for figures.
 *
 * @module
 */
import type { Gpu } from "../kernels/gpu/mod.ts";

/** Work whose time is measured. */
export interface Contender {
  /** As the table and `deno bench` name it. */
  readonly name: string;
  /** Queues the work once, by the time a promise settles where it returns one. */
  readonly run: () => void | Promise<void>;
  /** Floating-point operations of a run; a multiplication and an addition are two. */
  readonly flops?: number;
  /** Whose queue the work goes to, where it is not that of the other contenders. */
  readonly gpu?: Gpu;
}

/** How long {@linkcode measure} looks. */
export interface MeasureOptions {
  /** Milliseconds of work in one sample at least; 200 unless told. */
  readonly sampleMilliseconds?: number;
  /** Samples, of which the fastest counts: other work on the machine only ever adds; 3 unless told. */
  readonly samples?: number;
}

/**
 * Milliseconds that a run of queued work takes. Queues it until a sample is long enough, and waits
 * for the GPU once a sample.
 *
 * @throws whatever went wrong in the work.
 */
export async function measure(
  gpu: Gpu,
  run: Contender["run"],
  options: MeasureOptions = {},
): Promise<number> {
  const { sampleMilliseconds = 200, samples = 3 } = options;
  await elapsed(gpu, run, 1); // compiles the pipelines
  let runs = 1;
  let best = await elapsed(gpu, run, runs);
  while (best * runs < sampleMilliseconds) {
    runs = Math.ceil(Math.min(runs * 16, 1.2 * sampleMilliseconds / best));
    best = await elapsed(gpu, run, runs);
  }
  for (let sample = 1; sample < samples; sample++) {
    best = Math.min(best, await elapsed(gpu, run, runs));
  }
  return best;
}

/**
 * The fastest time of each contender in milliseconds. They take turns, so that a machine that is
 * busy for a while is busy for all of them.
 */
export async function compare(
  gpu: Gpu,
  contenders: readonly Contender[],
  options: MeasureOptions & { readonly rounds?: number } = {},
): Promise<number[]> {
  const best = contenders.map(() => Infinity);
  for (let round = 0; round < (options.rounds ?? 3); round++) {
    for (const [index, { run, gpu: own = gpu }] of contenders.entries()) {
      best[index] = Math.min(best[index], await measure(own, run, { samples: 1, ...options }));
    }
  }
  return best;
}

/**
 * Registers a group with `deno bench`, the first contender as its baseline. An iteration is `runs`
 * runs of the work, 1 unless told: more for work that is short beside a submission (0.1 ms).
 */
export function benchGroup(
  gpu: Gpu,
  group: string,
  contenders: readonly Contender[],
  options: { readonly runs?: number } = {},
): void {
  const { runs = 1 } = options;
  for (const [index, { name, run, gpu: own = gpu }] of contenders.entries()) {
    Deno.bench({
      name: runs === 1 ? name : `${name} × ${runs}`,
      group,
      baseline: index === 0,
      n: 10,
      warmup: 2,
      fn: async (bench) => {
        bench.start();
        await repeat(run, runs);
        const settled = finish(own);
        bench.end();
        await settled;
      },
    });
  }
}

/** Queues the work `runs` times; waits only where a run says so. */
async function repeat(run: Contender["run"], runs: number): Promise<void> {
  for (let i = 0; i < runs; i++) {
    const queued = run();
    if (queued) await queued;
  }
}

async function elapsed(gpu: Gpu, run: Contender["run"], runs: number): Promise<number> {
  const start = performance.now();
  await repeat(run, runs);
  const settled = finish(gpu);
  const milliseconds = performance.now() - start;
  await settled;
  return milliseconds / runs;
}

/** What Deno takes to settle the promise of work that is done: 11 ms, and more where it is busy. */
const SETTLING_MILLISECONDS = 60;

/**
 * Blocks until the queued work is done. Deno's `onSubmittedWorkDone()` does so in the call itself, and
 * settles its promise 10 ms later; that this is so is checked, for it is nowhere promised.
 */
function finish(gpu: Gpu): Promise<void> {
  gpu.flush();
  const start = performance.now();
  const done = gpu.device.queue.onSubmittedWorkDone();
  const blocked = performance.now() - start;
  return (async () => {
    await done;
    const settling = performance.now() - start - blocked;
    if (settling > SETTLING_MILLISECONDS + blocked) {
      throw new Error(
        `Cannot time GPU work as onSubmittedWorkDone() came back before the work was done: it took ${
          settling.toFixed(0)
        } ms more to settle`,
      );
    }
    await gpu.sync();
  })();
}
