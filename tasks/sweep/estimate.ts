import type { Subject, SubjectSource } from "../subject.ts";
import type { Sample, Task } from "../task.ts";
import { type Cell, type ModelCells, taskKey } from "./cells.ts";
import { gridOf, samplesOf, type SweepConfiguration } from "./configuration.ts";
import { controlsOf, type SampleBatch } from "./controls.ts";
import { fitNonNegative } from "./fit.ts";
import { batchSize } from "./asking.ts";

/** What a cell is expected to cost. */
export interface CellEstimate {
  /** The cell. */
  readonly cell: Cell;
  /** Tokens in its samples. */
  readonly tokens: number;
  /** How long it takes, with what is done once for its length or its model where it is the first. */
  readonly milliseconds: number;
  /** The most GPU memory that it takes, weights included. */
  readonly peakBytes: number;
}

/** What a sweep is expected to cost. */
export interface SweepEstimate {
  /** What it would run on. */
  readonly adapter: string;
  /** Its cells, in the order of the grid. */
  readonly cells: readonly CellEstimate[];
}

/** Calibration goes on to greater lengths as long as one sample is read so quickly. */
const QUICK_MILLISECONDS = 40;
/** How long a batch may take. */
const BATCH_MILLISECONDS = 120;
/** The next length that is tried is so many times the last. */
const GROWTH = 4;
/** What takes so long is run once, and not in a batch. */
const SLOW_MILLISECONDS = 1000;
/** The longest sequence that calibration begins with, where the task fits into it. */
const FIRST_TOKENS = 256;
/** Lengths at which a growing state is looked at, for its mean. */
const STATE_POINTS = 16;

/**
 * Estimates time and memory of a grid from a short calibration: each model reads a few samples of each
 * task, alone and in a batch, at lengths that grow as long as that is quick. How cost goes on to grow
 * is known: with the calls, the samples, the tokens, and with the state that each token meets, which
 * is what makes attention quadratic.
 *
 * @throws {Error} where there is no adapter, or a model cannot be loaded.
 */
export async function estimateSweep(
  grid: readonly ModelCells[],
  configuration: SweepConfiguration,
  source: SubjectSource,
): Promise<SweepEstimate> {
  const adapter = await source.adapter();
  const cells: CellEstimate[] = [];
  for (const model of grid) {
    const started = performance.now();
    const subject = await source.open(model.card);
    const opening = performance.now() - started;
    try {
      cells.push(...await estimateModel(subject, model, configuration, opening));
    } finally {
      await subject[Symbol.asyncDispose]();
    }
  }
  return { adapter, cells };
}

async function estimateModel(
  subject: Subject,
  { tasks, cells }: ModelCells,
  configuration: SweepConfiguration,
  opening: number,
): Promise<CellEstimate[]> {
  const costs = new Map<string, TaskCosts>();
  const steppings: Stepping[] = []; // a step is the same whatever was asked
  for (const [key, task] of tasks) {
    const asked = cells.filter((cell) => taskKey(cell) === key);
    if (asked.length === 0) continue;
    costs.set(key, await calibrate(subject, task, asked, configuration, steppings));
  }
  const seen = new Set<number>();
  let before = opening;
  return cells.map((cell) => {
    const { length } = cell;
    const { reading, sampling, stepping, starting, peak } = costs.get(taskKey(cell))!;
    const task = tasks.get(taskKey(cell))!;
    const count = samplesOf(gridOf(configuration, cell.task), task.metric, length);
    const inBatches = ({ count, length }: SampleBatch): number => {
      const size = Math.min(count, batchSize(length));
      if (size === 0) return 0;
      const [whole, rest] = [Math.floor(count / size), count % size];
      return whole * reading(size, length) + (rest > 0 ? reading(rest, length) : 0);
    };
    const own = { count, length };
    const control = controlsOf(task, length);
    let milliseconds = before + count * sampling(length) + inBatches(own) +
      count * inBatches(control);
    if (!seen.has(length)) {
      milliseconds += starting(seen.size) + reading(1, length) + stepping(length);
    }
    seen.add(length);
    before = 0;
    return {
      cell,
      tokens: count * (length + control.count * control.length),
      milliseconds,
      peakBytes: Math.max(
        ...[own, control].map(({ count, length }) =>
          count === 0 ? 0 : peak(Math.min(count, batchSize(length)), length)
        ),
      ),
    };
  });
}

/** What a task costs one model, in milliseconds and bytes. */
interface TaskCosts {
  /** To answer a batch. */
  readonly reading: (batch: number, length: number) => number;
  /** To make a sample. */
  readonly sampling: (length: number) => number;
  /** To time single steps behind a sequence. */
  readonly stepping: (length: number) => number;
  /** To begin with another length, when there were so many before. */
  readonly starting: (lengthsBefore: number) => number;
  /** The most memory that is held. */
  readonly peak: (batch: number, length: number) => number;
}

interface Measurement {
  readonly batch: number;
  readonly length: number;
  readonly milliseconds: number;
  readonly peakBytes: number;
}

interface Stepping {
  readonly length: number;
  /** One step. */
  readonly step: number;
  /** All steps that are timed, behind a sequence that is read first. */
  readonly whole: number;
  /** Reading such a sequence. */
  readonly reading: number;
}

async function calibrate(
  subject: Subject,
  task: Task,
  cells: readonly Cell[],
  configuration: SweepConfiguration,
  steppings: Stepping[],
): Promise<TaskCosts> {
  const { length: shortest, load, depth } = cells.reduce((a, b) => b.length < a.length ? b : a);
  const longest = Math.max(...cells.map(({ length }) => length));
  const answers: Measurement[] = [];
  const samplings: { length: number; milliseconds: number }[] = [];
  const startings: number[] = [];
  let length = Math.max(task.shortestLength(load), Math.min(shortest, FIRST_TOKENS));
  for (let round = 0;; round++) {
    const make = (index: number): Sample =>
      task.sample({ length, seed: 0, index, split: "test", load, depth });
    const answer = async (samples: readonly Sample[]): Promise<Measurement> => {
      const { peakBytes, milliseconds } = await timed(() => subject.answer(samples));
      return { batch: samples.length, length, milliseconds, peakBytes };
    };
    const first = [make(0)];
    const cold = await answer(first);
    const slow = cold.milliseconds > SLOW_MILLISECONDS;
    const again = await answer(first);
    const warm = slow ? again : quickest([again, await answer(first)]);
    startings.push(Math.max(0, cold.milliseconds - warm.milliseconds));
    answers.push(warm);
    const count = samplesOf(gridOf(configuration, task.name), task.metric, length);
    const most = Math.min(count, batchSize(length));
    const size = again.milliseconds > SLOW_MILLISECONDS
      ? 1
      : Math.min(most, Math.max(2, Math.floor(BATCH_MILLISECONDS / warm.milliseconds)));
    const batch: Sample[] = [];
    const { milliseconds } = await timed(() => {
      for (let index = 0; index < size; index++) batch.push(make(index));
      return Promise.resolve({});
    });
    samplings.push({ length, milliseconds: milliseconds / size });
    if (size > 1) {
      await answer(batch);
      answers.push(await answer(batch));
    }
    if (!steppings.some((stepping) => stepping.length === length)) {
      const { step, milliseconds: whole } = await timed(async () => ({
        step: await subject.stepMilliseconds(length),
      }));
      steppings.push({ length, step, whole, reading: warm.milliseconds });
    }
    if (length >= longest || (round > 0 && warm.milliseconds > QUICK_MILLISECONDS)) break;
    length = Math.min(longest, length * GROWTH);
  }
  return costsOf(subject, { answers, samplings, steppings, startings });
}

function costsOf(
  subject: Subject,
  { answers, samplings, steppings, startings }: {
    readonly answers: readonly Measurement[];
    readonly samplings: readonly { length: number; milliseconds: number }[];
    readonly steppings: readonly Stepping[];
    readonly startings: readonly number[];
  },
): TaskCosts {
  const segment = subject.segmentTokens ?? Infinity;
  const read = (batch: number, length: number): number[] => [
    1,
    batch,
    batch * length,
    batch * length * meanGrownState(subject, length),
  ];
  const held = (batch: number, length: number): number[] => [1, Math.min(batch * length, segment)];
  // While a segment is read there is the state behind it, and still the one before it.
  const states = (batch: number, length: number): number =>
    batch * subject.stateBytes(length) +
    (batch * length > segment
      ? batch * subject.stateBytes(Math.max(0, length - Math.floor(segment / batch)))
      : 0);
  const reading = fitted(answers.map(({ batch, length, milliseconds }) => [
    read(batch, length),
    milliseconds,
  ]));
  const holding = fitted(answers.map(({ batch, length, peakBytes }) => [
    held(batch, length),
    Math.max(1, peakBytes - states(batch, length)),
  ]));
  const sampling = fitted(samplings.map(({ length, milliseconds }) => [
    [1, length],
    Math.max(1e-4, milliseconds),
  ]));
  const step = fitted(steppings.map(({ length, step }) => [
    [1, subject.stateBytes(length)],
    Math.max(1e-3, step),
  ]));
  const steps = mean(
    steppings.map(({ step, whole, reading }) =>
      Math.max(0, whole - reading) / Math.max(1e-3, step)
    ),
  );
  const [first, ...later] = startings;
  return {
    reading: (batch, length) => reading(read(batch, length)),
    sampling: (length) => sampling([1, length]),
    stepping: (length) => reading(read(1, length)) + steps * step([1, subject.stateBytes(length)]),
    starting: (lengthsBefore) => lengthsBefore === 0 ? first : mean(later),
    peak: (batch, length) => holding(held(batch, length)) + states(batch, length),
  };
}

/** By how much the state that a token meets is larger than the first token's, on average, in bytes. */
function meanGrownState(subject: Subject, length: number): number {
  let sum = 0;
  for (let i = 1; i <= STATE_POINTS; i++) {
    sum += subject.stateBytes(Math.ceil(length * (i - 0.5) / STATE_POINTS));
  }
  return sum / STATE_POINTS - subject.stateBytes(1);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

function fitted(measurements: [terms: number[], value: number][]): (terms: number[]) => number {
  const coefficients = fitNonNegative(
    measurements.map(([terms]) => terms),
    measurements.map(([, value]) => value),
  );
  return (terms) => terms.reduce((sum, term, i) => sum + term * coefficients[i], 0);
}

async function timed<T extends object>(
  run: () => Promise<T>,
): Promise<T & { milliseconds: number }> {
  const started = performance.now();
  const result = await run();
  return { ...result, milliseconds: performance.now() - started };
}

function quickest(measurements: readonly Measurement[]): Measurement {
  return measurements.reduce((a, b) => a.milliseconds <= b.milliseconds ? a : b);
}
