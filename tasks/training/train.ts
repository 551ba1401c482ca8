import { parse } from "@std/csv";
import type { Gpu } from "../../kernels/gpu/mod.ts";
import { saveModel } from "../../models/mod.ts";
import { createTask } from "../registry.ts";
import type { Task } from "../task.ts";
import { type TrainingBatch, trainingBatch } from "./batch.ts";
import { restoreCheckpoint, saveCheckpoint } from "./checkpoint.ts";
import type { Recipe } from "./recipe.ts";
import { Schedule, type StepResult } from "./schedule.ts";
import { type QueuedSegment, Trainer } from "./trainer.ts";

/** Steps whose measurements are read back at once: a read waits about 10 ms however small it is. */
const STEPS_PER_READ = 10;
const LOG_FILE = "log.csv";

/** Where a run stands, for a progress line. */
export interface TrainingProgress {
  /** Steps done. */
  readonly step: number;
  /** Steps there will be, as far as is known. */
  readonly end: number;
  /** Mean loss in nats over the last steps read. */
  readonly loss: number;
  /** Mean accuracy of each task over the last measured steps, in the recipe's order. */
  readonly accuracies: readonly number[];
  /** Tokens trained on in a second, lately. */
  readonly tokensPerSecond: number;
  /** Seconds trained in all, with those before a resume. */
  readonly seconds: number;
}

/** How {@linkcode train} runs. */
export interface TrainOptions {
  /** Where the checkpoint, the log and the finished model go; made where it is missing. */
  readonly directory: string;
  /** Go on from the directory's checkpoint, where there is one. */
  readonly resume?: boolean;
  /** Seconds of training between two checkpoints; 60 unless told. */
  readonly checkpointSeconds?: number;
  /** Called after every few steps. */
  readonly onProgress?: (progress: TrainingProgress) => void;
}

/**
 * Trains a model by its recipe and writes it into a directory: `config.json`, `model.safetensors`,
 * `recipe.json`, `log.csv`, and `checkpoint.safetensors` while it is under way.
 *
 * @throws {Error} where the loss is no longer finite; the last checkpoint stays.
 */
export async function train(
  gpu: Gpu,
  recipe: Recipe,
  options: TrainOptions,
): Promise<TrainingProgress> {
  const { directory } = options;
  await Deno.mkdir(directory, { recursive: true });
  await Deno.writeTextFile(
    `${directory}/recipe.json`,
    JSON.stringify(recipe, undefined, 2) + "\n",
  );
  const tasks = await Promise.all(
    recipe.tasks.map(({ name, options }) => createTask(name, options)),
  );
  using trainer = new Trainer(gpu, recipe);
  const restored = options.resume ? await restoreCheckpoint(directory, recipe, trainer) : undefined;
  const run = new Run(recipe, tasks, trainer, options, restored);
  await run.openLog();
  const last = await run.toEnd(options.onProgress ?? (() => {}));
  await saveModel(trainer.model, directory);
  await Deno.remove(`${directory}/checkpoint.safetensors`).catch(() => {});
  return last;
}

class Run {
  readonly #recipe: Recipe;
  readonly #tasks: readonly Task[];
  readonly #trainer: Trainer;
  readonly #directory: string;
  readonly #checkpointSeconds: number;
  readonly #schedule: Schedule;
  #step: number;
  #seconds: number;
  #checkpointAt: number;

  constructor(
    recipe: Recipe,
    tasks: readonly Task[],
    trainer: Trainer,
    options: TrainOptions,
    restored: { step: number; seconds: number; schedule: Schedule } | undefined,
  ) {
    this.#recipe = recipe;
    this.#tasks = tasks;
    this.#trainer = trainer;
    this.#directory = options.directory;
    this.#checkpointSeconds = options.checkpointSeconds ?? 60;
    this.#schedule = restored?.schedule ?? new Schedule(recipe);
    this.#step = restored?.step ?? 0;
    this.#seconds = restored?.seconds ?? 0;
    this.#checkpointAt = this.#seconds + this.#checkpointSeconds;
  }

  /** Begins the log, or cuts off what a killed run wrote into it after its last checkpoint. */
  async openLog(): Promise<void> {
    const path = `${this.#directory}/${LOG_FILE}`;
    const header = ["step", "loss", ...this.#tasks.map(({ name }) => name), "learning_rate"];
    header.push("tokens_per_second", "seconds");
    const kept = this.#step === 0
      ? []
      : parse(await Deno.readTextFile(path)).slice(1).filter(([step]) =>
        Number(step) <= this.#step
      );
    await Deno.writeTextFile(path, [header, ...kept].map((row) => row.join(",") + "\n").join(""));
  }

  async toEnd(onProgress: (progress: TrainingProgress) => void): Promise<TrainingProgress> {
    let progress: TrainingProgress | undefined;
    while (this.#step < this.#schedule.end) {
      progress = await this.#block();
      if (this.#seconds >= this.#checkpointAt) await this.#checkpoint();
      onProgress(progress);
    }
    return progress ?? {
      step: this.#step,
      end: this.#schedule.end,
      loss: NaN,
      accuracies: this.#schedule.accuracies(),
      tokensPerSecond: 0,
      seconds: this.#seconds,
    };
  }

  /** Queues a few steps, reads what they measured, and takes it in. */
  async #block(): Promise<TrainingProgress> {
    const started = performance.now();
    const first = this.#step;
    const count = Math.min(STEPS_PER_READ, this.#schedule.end - first);
    const rate = this.#schedule.rate(first);
    const batches: TrainingBatch[] = [];
    const queued: QueuedSegment[][] = [];
    for (let step = first; step < first + count; step++) {
      const batch = trainingBatch(this.#recipe, this.#tasks, step);
      batches.push(batch);
      queued.push(this.#trainer.step(batch, step, this.#schedule.rate(step)));
    }
    const results = await this.#results(first, batches, queued);
    for (const result of results) this.#schedule.add(result);
    this.#step += count;
    const elapsed = (performance.now() - started) / 1000;
    this.#seconds += elapsed;
    const tokens = batches.reduce((sum, batch) => sum + batch.tokens.length, 0);
    const progress: TrainingProgress = {
      step: this.#step,
      end: this.#schedule.end,
      loss: results.reduce((sum, { loss }) => sum + loss, 0) / count,
      accuracies: this.#schedule.accuracies(),
      tokensPerSecond: tokens / elapsed,
      seconds: this.#seconds,
    };
    await this.#log(progress, rate);
    return progress;
  }

  async #results(
    first: number,
    batches: readonly TrainingBatch[],
    queued: readonly (readonly QueuedSegment[])[],
  ): Promise<StepResult[]> {
    const tensors = queued.flat().flatMap(({ losses, correct }) => [losses, correct]);
    const values = await this.#trainer.model.gpu.read(tensors);
    for (const tensor of tensors) tensor[Symbol.dispose]();
    let read = 0;
    return batches.map((batch, index) => {
      const losses = new Float32Array(batch.rows.length);
      const correct = new Uint8Array(batch.rows.length);
      for (const { scored } of queued[index]) {
        scored.forEach((row, i) => {
          losses[row] = values[read][i];
          correct[row] = values[read + 1][i];
        });
        read += 2;
      }
      const result = {
        step: first + index,
        ...measure(batch, this.#tasks.length, losses, correct),
      };
      if (!Number.isFinite(result.loss)) {
        throw new Error(
          `Cannot go on training ${this.#recipe.name} as its loss is ${result.loss} at step ${result.step}: lower --learning-rate (now ${this.#recipe.learningRate}) and start again, or --resume from the last checkpoint`,
        );
      }
      return result;
    });
  }

  async #log(progress: TrainingProgress, rate: number): Promise<void> {
    const row = [
      progress.step,
      progress.loss.toFixed(5),
      ...progress.accuracies.map((accuracy) => isNaN(accuracy) ? "" : accuracy.toFixed(4)),
      rate.toPrecision(4),
      Math.round(progress.tokensPerSecond),
      progress.seconds.toFixed(1),
    ];
    await Deno.writeTextFile(`${this.#directory}/${LOG_FILE}`, row.join(",") + "\n", {
      append: true,
    });
  }

  async #checkpoint(): Promise<void> {
    await saveCheckpoint(this.#directory, this.#recipe, this.#trainer, {
      step: this.#step,
      schedule: this.#schedule,
      seconds: this.#seconds,
    });
    this.#checkpointAt = this.#seconds + this.#checkpointSeconds;
  }
}

/** Mean loss over the tasks, and the accuracy of each, of one step. */
function measure(
  { weights, taskOf }: TrainingBatch,
  tasks: number,
  losses: ArrayLike<number>,
  correct: ArrayLike<number>,
): { loss: number; accuracies: number[] } {
  let loss = 0;
  const right = new Array<number>(tasks).fill(0);
  const asked = new Array<number>(tasks).fill(0);
  for (let row = 0; row < weights.length; row++) {
    loss += weights[row] * losses[row];
    right[taskOf[row]] += correct[row];
    asked[taskOf[row]]++;
  }
  return { loss, accuracies: right.map((count, task) => count / asked[task]) };
}
