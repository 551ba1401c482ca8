import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { type Task, UNSCORED } from "../task.ts";
import type { RandomGenerator } from "pure-rand/types/RandomGenerator";
import type { Recipe, TrainingPoint } from "./recipe.ts";

/** One step's sequences, the positions where something is due, and how much each counts. */
export interface TrainingBatch {
  /** Number of sequences. */
  readonly sequences: number;
  /** Tokens of each. */
  readonly time: number;
  /** `[sequences, time]`. */
  readonly tokens: Uint32Array;
  /** Rows of `[sequences · time]` where something is due. */
  readonly rows: Uint32Array;
  /** The token due at each of them. */
  readonly labels: Uint32Array;
  /** Weight of each in the loss; they sum to 1, each task's to an equal share. */
  readonly weights: Float32Array;
  /** Index of the task of each. */
  readonly taskOf: Uint32Array;
}

/** A part of a batch that is read at once. */
export interface Segment extends Omit<TrainingBatch, "taskOf"> {
  /** Which of the batch's scored rows are in it. */
  readonly scored: Uint32Array;
}

/** A batch cut into segments of about equal time, first to last. */
export function segmentsOf(batch: TrainingBatch, count: number): Segment[] {
  const { sequences, time, tokens, rows, labels, weights } = batch;
  const bounds = Array.from({ length: count + 1 }, (_, i) => Math.round(time * i / count));
  return bounds.slice(1).flatMap((end, i) => {
    const start = bounds[i];
    const length = end - start;
    if (length === 0) return [];
    const part = new Uint32Array(sequences * length);
    for (let sequence = 0; sequence < sequences; sequence++) {
      const from = sequence * time + start;
      part.set(tokens.subarray(from, from + length), sequence * length);
    }
    const inside = (row: number): boolean => row % time >= start && row % time < end;
    const scored = Uint32Array.from([...rows.keys()].filter((index) => inside(rows[index])));
    return [{
      sequences,
      time: length,
      tokens: part,
      scored,
      rows: scored.map((index) =>
        Math.floor(rows[index] / time) * length + rows[index] % time - start
      ),
      labels: scored.map((index) => labels[index]),
      weights: Float32Array.from(scored, (index) => weights[index]),
    }];
  });
}

/** How many tokens the first steps of a recipe read. */
export function tokensTrained(recipe: Recipe, tasks: readonly Task[], steps: number): number {
  let tokens = 0;
  for (let step = 0; step < steps; step++) {
    const { sequences, time } = batchShape(recipe, tasks, step);
    tokens += sequences * time;
  }
  return tokens;
}

interface BatchShape {
  /** Indices of the tasks that are in it. */
  readonly active: readonly number[];
  readonly sequences: number;
  readonly time: number;
  readonly load: number | undefined;
}

function batchShape(recipe: Recipe, tasks: readonly Task[], step: number): BatchShape {
  const active = step < recipe.firstTaskSteps ? [0] : tasks.map((_, index) => index);
  const { length: time, load } = recipe.points
    ? stepPoint(recipe.points, recipe.seed, step)
    : { length: stepLength(recipe, tasks, step), load: undefined };
  return {
    active,
    sequences: Math.floor(recipe.batch / active.length) * active.length,
    time,
    load,
  };
}

/** The batch of a step: a pure function of the recipe and the step. */
export function trainingBatch(
  recipe: Recipe,
  tasks: readonly Task[],
  step: number,
): TrainingBatch {
  const { active, sequences, time, load } = batchShape(recipe, tasks, step);
  const tokens = new Uint32Array(sequences * time);
  const due: { row: number; label: number; task: number }[] = [];
  for (let sequence = 0; sequence < sequences; sequence++) {
    const task = active[sequence % active.length];
    const index = step * recipe.batch + sequence;
    const sample = tasks[task].sample({
      length: time,
      seed: recipe.seed,
      index,
      split: "train",
      ...(tasks[task].loads ? { load } : {}),
    });
    tokens.set(sample.tokens, sequence * time);
    sample.labels.forEach((label, t) => {
      if (label !== UNSCORED) due.push({ row: sequence * time + t, label, task });
    });
  }
  const counts = tasks.map((_, task) => due.filter((row) => row.task === task).length);
  return {
    sequences,
    time,
    tokens,
    rows: Uint32Array.from(due, ({ row }) => row),
    labels: Uint32Array.from(due, ({ label }) => label),
    weights: Float32Array.from(due, ({ task }) => 1 / (active.length * counts[task])),
    taskOf: Uint32Array.from(due, ({ task }) => task),
  };
}

/** The length of a step's sequences: the recipe's or its half, at even odds, where the tasks fit. */
function stepLength({ length, seed }: Recipe, tasks: readonly Task[], step: number): number {
  const half = Math.floor(length / 2);
  const fits = tasks.every((task) => task.metric === "accuracy" && task.shortestLength() <= half);
  return fits && uniformInt(stepDraws(seed, step), 0, 1) === 1 ? half : length;
}

/** The point of a step, drawn by the points' weights. */
function stepPoint(points: readonly TrainingPoint[], seed: number, step: number): TrainingPoint {
  const weights = points.map(({ weight = 1 }) => weight);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let left = uniformInt(stepDraws(seed, step), 0, 2 ** 24 - 1) / 2 ** 24 * total;
  const drawn = weights.findIndex((weight) => (left -= weight) < 0);
  return points[drawn < 0 ? points.length - 1 : drawn];
}

/** Whether a step begins with the state that the step before ended with. */
export function passesState({ statePassing = 0, seed }: Recipe, step: number): boolean {
  const draws = stepDraws(seed ^ 0x5bd1e995, step);
  return step > 0 && uniformInt(draws, 0, 2 ** 24 - 1) / 2 ** 24 < statePassing;
}

function stepDraws(seed: number, step: number): RandomGenerator {
  const generator = xoroshiro128plus(Math.imul(seed, 0x9e3779b1) ^ step);
  for (let i = 0; i < 4; i++) generator.next();
  return generator;
}
