import { freeMemory } from "../../kernels/gpu/open.ts";
import type { Subject } from "../subject.ts";
import { type Sample, scoredPositions, type Task } from "../task.ts";
import { scoringOf } from "../generators/ruler/scoring.ts";
import { type Cell, type ModelCells, taskKey } from "./cells.ts";
import { gridOf, samplesOf, type SweepConfiguration } from "./configuration.ts";
import { controlsOf, type SampleBatch } from "./controls.ts";
import { fitNonNegative } from "./fit.ts";
import { whyNoRoom } from "./room.ts";
import { batchSize } from "./asking.ts";
import type { SequenceCost } from "./cell_runner.ts";

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
  /** Why it cannot be run, where it does not fit into the memory that there is. */
  readonly noRoom?: string;
}

/** Calibration continues to greater lengths as long as one sample is read so quickly. */
const QUICK_MILLISECONDS = 40;
/** How long a batch may take. */
const BATCH_MILLISECONDS = 120;
/** The next length that is tried is so many times the last. */
const GROWTH = 4;
/** What takes so long is run once, and not in a batch. */
const SLOW_MILLISECONDS = 1000;
/** The longest sequence that calibration begins with, where the task fits into it. */
const FIRST_TOKENS = 256;
/** The longest sample by which a question's kind is seen: how much of it is asked. */
const KIND_TOKENS = 4096;
/** Lengths at which a growing state is looked at, for its mean. */
const STATE_POINTS = 16;

/** What one model takes, as it was measured. */
export class Calibration {
  /** What one sequence costs, for each length that was tried. */
  readonly steps: ReadonlyMap<number, SequenceCost>;
  readonly #costs: ReadonlyMap<string, TaskCosts>;

  /** @param costs By the kind of the question. */
  constructor(costs: ReadonlyMap<string, TaskCosts>, steps: ReadonlyMap<number, SequenceCost>) {
    this.#costs = costs;
    this.steps = steps;
  }

  /**
   * What cells cost this model, in their order; those of another model as if they were its own, questions
   * of a kind that it was not asked as another kind.
   *
   * @param opening Milliseconds before the first.
   */
  estimate(
    { tasks, cells }: Pick<ModelCells, "tasks" | "cells">,
    configuration: SweepConfiguration,
    opening: number = 0,
  ): CellEstimate[] {
    const [anyCosts] = this.#costs.values();
    const kinds = new Map([...tasks].map(([key, task]) => [key, kindOf(task, cells)]));
    const seen = new Set<number>();
    let before = opening;
    return cells.map((cell) => {
      const { length } = cell;
      const costs = this.#costs.get(kinds.get(taskKey(cell))!) ?? anyCosts;
      const { reading, sampling, stepping, starting, peak } = costs;
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
  /** The most memory that is held meanwhile. */
  readonly peakBytes: number;
}

/**
 * Measures what a model takes: it reads a few samples of each kind of question, alone and in a batch, at
 * lengths that grow as long as that is quick.
 *
 * @param options.signal Ends it between two segments of a prompt, or two replies.
 */
export async function calibrate(
  subject: Subject,
  { tasks, cells }: Pick<ModelCells, "tasks" | "cells">,
  configuration: SweepConfiguration,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Calibration> {
  const steppings: Stepping[] = []; // a step is the same whatever was asked
  const costs = new Map<string, TaskCosts>();
  for (const [kind, group] of Map.groupBy(tasks, ([, task]) => kindOf(task, cells))) {
    const keys = new Set(group.map(([key]) => key));
    const asked = cells.filter((cell) => keys.has(taskKey(cell)));
    if (asked.length === 0) continue;
    const task = tasks.get(taskKey(asked[0]))!;
    costs.set(kind, await measure(subject, task, asked, configuration, { steppings, ...options }));
  }
  const steps = steppings.map(({ length, step, peakBytes }) =>
    [length, { stepMilliseconds: step, peakBytes }] as const
  );
  return new Calibration(costs, new Map(steps));
}

const KINDS = new WeakMap<Task, string>();
/** The share of positions that are asked, from which on the head counts too. */
const MANY_ASKED = 1 / 8;

/** What questions take the same time: those of one metric, with as long a reply, asked as often. */
function kindOf(task: Task, cells: readonly Cell[]): string {
  if (task.template !== undefined) return `a reply of ${scoringOf(task.name)?.budget} tokens`;
  if (task.metric !== "accuracy") return task.metric;
  let kind = KINDS.get(task);
  if (kind === undefined) {
    const own = cells.filter(({ task: name }) => name === task.name);
    const { length: shortest, load, depth } = own.reduce((a, b) =>
      b.length < a.length ? b : a, own[0]) ??
      { length: task.shortestLength() };
    const length = Math.min(shortest, Math.max(task.shortestLength(load), KIND_TOKENS));
    const sample = task.sample({ length, load, depth, seed: 0, index: 0, split: "test" });
    const asked = scoredPositions(sample).length / length;
    kind = asked >= MANY_ASKED ? "many questions" : "few questions";
    KINDS.set(task, kind);
  }
  return kind;
}

async function measure(
  subject: Subject,
  task: Task,
  cells: readonly Cell[],
  configuration: SweepConfiguration,
  { steppings, signal }: { readonly steppings: Stepping[]; readonly signal?: AbortSignal },
): Promise<TaskCosts> {
  const { length: shortest, load, depth } = cells.filter((cell) => cell.task === task.name)
    .reduce((a, b) => b.length < a.length ? b : a);
  const longest = Math.max(...cells.map(({ length }) => length));
  const answers: Measurement[] = [];
  const samplings: { length: number; milliseconds: number }[] = [];
  const startings: number[] = [];
  let length = Math.max(task.shortestLength(load), Math.min(shortest, FIRST_TOKENS));
  for (let round = 0;; round++) {
    const make = (index: number): Sample =>
      task.sample({ length, seed: 0, index, split: "test", load, depth });
    const answer = async (samples: readonly Sample[]): Promise<Measurement> => {
      const { peakBytes, milliseconds } = await timed(() => subject.answer(samples, { signal }));
      return { batch: samples.length, length, milliseconds, peakBytes };
    };
    const first = [make(0)];
    // The first of a shape shows what it takes: what is read again may be recorded, and have memory so.
    const cold = await answer(first);
    const slow = cold.milliseconds > SLOW_MILLISECONDS;
    const again = await answer(first);
    const warm = slow ? again : quickest([again, await answer(first)]);
    startings.push(Math.max(0, cold.milliseconds - warm.milliseconds));
    answers.push({ ...warm, peakBytes: cold.peakBytes });
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
      const { peakBytes } = await answer(batch);
      answers.push({ ...await answer(batch), peakBytes });
    }
    if (!steppings.some((stepping) => stepping.length === length)) {
      const { step, milliseconds: whole } = await timed(async () => ({
        step: await subject.stepMilliseconds(length, { signal }),
      }));
      steppings.push({
        ...{ length, step, whole },
        reading: warm.milliseconds,
        peakBytes: cold.peakBytes,
      });
    }
    if (length >= longest || (round > 0 && warm.milliseconds > QUICK_MILLISECONDS)) break;
    const next = Math.min(longest, length * GROWTH);
    if (whyNoRoom(subject, task, { count: 1, length: next, free: freeMemory() }) !== undefined) {
      break;
    }
    length = next;
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
