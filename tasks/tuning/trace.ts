import { type Gpu, type NotedProblem, timeWork } from "../../kernels/gpu/mod.ts";
import type { Model, ModelConfiguration } from "../../models/mod.ts";
import type { TrainingBatch } from "../training/batch.ts";
import type { Recipe } from "../training/recipe.ts";
import { Trainer } from "../training/trainer.ts";

/** What a model is given while the problems of its kernels are noted. */
export interface TracedTokens {
  /** Lengths of prompts. */
  readonly prompts: readonly number[];
  /** Tokens that are generated behind each. */
  readonly generated: number;
}

/** The problems that a model's kernels are given: reading prompts, and generating tokens behind them. */
export async function traceModel(
  gpu: Gpu,
  model: Model,
  { prompts, generated }: TracedTokens,
): Promise<readonly NotedProblem[]> {
  const { vocabulary } = model.configuration;
  return await gpu.choices.noteWhile(async () => {
    for (const length of prompts) {
      const tokens = Uint32Array.from({ length }, (_, i) => (7 * i + 1) % vocabulary);
      await model.generate(tokens, { maxTokens: generated, record: false });
    }
  });
}

/** The problems of a training step of a model, on so many sequences of so many tokens. */
export async function traceTraining(
  gpu: Gpu,
  model: ModelConfiguration,
  sequences: number,
  time: number,
): Promise<readonly NotedProblem[]> {
  using trainer = new Trainer(gpu, recipeOf(model, sequences, time), { record: false });
  const batch = batchOf(model, sequences, time);
  // What is recorded and not replayed makes its choices without any work.
  return await gpu.choices.noteWhile(() =>
    gpu.record(() => step(trainer, batch, 0))[Symbol.dispose]()
  );
}

/** How long a training step takes, the least of some, and how many fit in the time. */
export async function timeTraining(
  gpu: Gpu,
  model: ModelConfiguration,
  sequences: number,
  time: number,
  budget: number,
): Promise<{ readonly milliseconds: number; readonly steps: number }> {
  using trainer = new Trainer(gpu, recipeOf(model, sequences, time));
  const batch = batchOf(model, sequences, time);
  const end = performance.now() + budget;
  let milliseconds = Infinity;
  let steps = 0;
  // The first two compile and are recorded.
  while (steps < 3 || steps < MOST_STEPS && performance.now() + milliseconds < end) {
    const elapsed = await timeWork(gpu, () => step(trainer, batch, steps));
    if (++steps > 2) milliseconds = Math.min(milliseconds, elapsed);
  }
  return { milliseconds, steps };
}

/** Steps that are timed at most. */
const MOST_STEPS = 32;

function recipeOf(model: ModelConfiguration, batch: number, length: number): Recipe {
  return {
    name: model.family,
    model,
    tasks: [],
    length,
    batch,
    learningRate: 1e-3,
    warmupSteps: 1,
    firstTaskSteps: 0,
    targetAccuracy: 1,
    steps: 1,
    seed: 0,
  };
}

function batchOf(model: ModelConfiguration, sequences: number, time: number): TrainingBatch {
  const rows = sequences * time;
  const tokens = (factor: number): Uint32Array =>
    Uint32Array.from({ length: rows }, (_, i) => (factor * i + 1) % model.vocabulary);
  return {
    sequences,
    time,
    tokens: tokens(7),
    rows: Uint32Array.from({ length: rows }, (_, i) => i),
    labels: tokens(5),
    weights: new Float32Array(rows).fill(1 / rows),
    taskOf: new Uint32Array(rows),
  };
}

function step(trainer: Trainer, batch: TrainingBatch, index: number): void {
  for (const { losses, correct } of trainer.step(batch, index, 1e-3)) {
    losses[Symbol.dispose]();
    correct[Symbol.dispose]();
  }
}
