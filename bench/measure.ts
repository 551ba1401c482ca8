/**
 * Times of queued GPU work, for `deno bench` and for figures.
 *
 * @module
 */
import type { Gpu } from "../kernels/gpu/mod.ts";

/** How long {@linkcode measure} looks. */
export interface MeasureOptions {
  /** Milliseconds of work in one sample at least; 200 unless told. */
  readonly sampleMilliseconds?: number;
  /** Samples, of which the fastest counts: another process on the machine only ever adds; 3 unless told. */
  readonly samples?: number;
}

/**
 * Milliseconds a run of queued work takes: runs it until the work of a sample is long, waits once,
 * and takes off what waiting for nothing costs (about 11 ms in Deno, whatever the work).
 */
export async function measure(
  gpu: Gpu,
  run: () => void,
  options: MeasureOptions = {},
): Promise<number> {
  const { sampleMilliseconds = 200, samples = 3 } = options;
  run(); // compiles the pipelines
  await gpu.sync();
  const idle = Math.min(await elapsed(gpu, run, 0), await elapsed(gpu, run, 0));
  let runs = 1;
  let best = Math.max(0.001, await elapsed(gpu, run, runs) - idle);
  for (let taken = 0; taken < samples;) {
    if (best * runs < sampleMilliseconds) {
      runs = Math.ceil(Math.min(runs * 16, 1.2 * sampleMilliseconds / best));
      best = Math.max(0.001, await elapsed(gpu, run, runs) - idle) / runs;
      continue;
    }
    best = Math.min(best, (await elapsed(gpu, run, runs) - idle) / runs);
    taken++;
  }
  return best;
}

async function elapsed(gpu: Gpu, run: () => void, runs: number): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < runs; i++) run();
  await gpu.sync();
  return performance.now() - start;
}
