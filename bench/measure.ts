/**
 * Times of queued GPU work, for `deno bench` and for figures.
 *
 * @module
 */
import process from "node:process";
import { type Gpu, timeWork } from "../kernels/gpu/mod.ts";

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
  /** Milliseconds of work in one sample at least. @default 200 */
  readonly sampleMilliseconds?: number;
  /** Samples, of which the fastest counts: other work on the machine only ever adds. @default 3 */
  readonly samples?: number;
  /** Whether it first runs once untimed, which compiles the pipelines. @default true */
  readonly warmUp?: boolean;
  /**
   * What is counted: the time that passes, or that which all threads of this process compute. The
   * latter is the work itself on a software adapter, whatever else the machine does, and nothing on a
   * GPU.
   *
   * @default "elapsed"
   */
  readonly clock?: Clock;
}

/** What a time is of. */
export type Clock = "elapsed" | "processor";

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
  const { sampleMilliseconds = 200, samples = 3, warmUp = true, clock = "elapsed" } = options;
  const sampled = (runs: number): Promise<number> => sample(gpu, run, runs, clock);
  if (warmUp) await sampled(1);
  let runs = 1;
  let best = await sampled(runs);
  while (best * runs < sampleMilliseconds) {
    runs = Math.ceil(Math.min(runs * 16, 1.2 * sampleMilliseconds / best));
    best = await sampled(runs);
  }
  for (let sample = 1; sample < samples; sample++) {
    best = Math.min(best, await sampled(runs));
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
      const turn = { samples: 1, warmUp: round === 0, ...options };
      best[index] = Math.min(best[index], await measure(own, run, turn));
    }
  }
  return best;
}

/**
 * Registers a group with `deno bench`, the first contender as its baseline. An iteration is `runs`
 * runs of the work, 1 by default: more for work that is short beside a submission (0.1 ms). There are
 * 10 `iterations` by default.
 */
export function benchGroup(
  gpu: Gpu,
  group: string,
  contenders: readonly Contender[],
  options: { readonly runs?: number; readonly iterations?: number } = {},
): void {
  const { runs = 1, iterations = 10 } = options;
  for (const [index, { name, run, gpu: own = gpu }] of contenders.entries()) {
    Deno.bench({
      name: runs === 1 ? name : `${name} × ${runs}`,
      group,
      baseline: index === 0,
      n: iterations,
      warmup: iterations < 10 ? 1 : 2,
      fn: async (bench) => {
        bench.start();
        await repeat(run, runs);
        const settled = timeWork(own, () => {}); // blocks until the work is done
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

/** The slope of log y over log x, by least squares: y grows as x to this power. */
export function fittedExponent(x: readonly number[], y: readonly number[]): number {
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const [logX, logY] = [x.map(Math.log), y.map(Math.log)];
  const [middleX, middleY] = [mean(logX), mean(logY)];
  return mean(logX.map((value, i) => (value - middleX) * (logY[i] - middleY))) /
    mean(logX.map((value) => (value - middleX) ** 2));
}

async function sample(
  gpu: Gpu,
  run: Contender["run"],
  runs: number,
  clock: Clock,
): Promise<number> {
  const start = process.cpuUsage();
  const elapsed = await timeWork(gpu, () => repeat(run, runs));
  const { user, system } = process.cpuUsage(start);
  return (clock === "elapsed" ? elapsed : (user + system) / 1000) / runs;
}
