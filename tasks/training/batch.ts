import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { type Task, UNSCORED } from "../task.ts";
import type { Recipe } from "./recipe.ts";

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

/** The batch of a step: a pure function of the recipe and the step. */
export function trainingBatch(
  recipe: Recipe,
  tasks: readonly Task[],
  step: number,
): TrainingBatch {
  const active = step < recipe.firstTaskSteps ? [0] : tasks.map((_, index) => index);
  const each = Math.floor(recipe.batch / active.length);
  const time = stepLength(recipe, tasks, step);
  const sequences = each * active.length;
  const tokens = new Uint32Array(sequences * time);
  const due: { row: number; label: number; task: number }[] = [];
  for (let sequence = 0; sequence < sequences; sequence++) {
    const task = active[sequence % active.length];
    const index = step * recipe.batch + sequence;
    const sample = tasks[task].sample({ length: time, seed: recipe.seed, index, split: "train" });
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
  const generator = xoroshiro128plus(Math.imul(seed, 0x9e3779b1) ^ step);
  for (let i = 0; i < 4; i++) generator.next();
  return fits && uniformInt(generator, 0, 1) === 1 ? half : length;
}
