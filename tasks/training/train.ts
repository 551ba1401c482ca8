import { join } from "@std/path";
import type { Gpu } from "../../kernels/gpu/mod.ts";
import { exists } from "../../models/checkpoints/download.ts";
import { replaceFile } from "../../models/checkpoints/replace_file.ts";
import { saveModel, type SaveModelOptions } from "../../models/mod.ts";
import { canonical } from "../canonical.ts";
import { createTask } from "../registry.ts";
import { checkVocabulary, type Task } from "../task.ts";
import { type TrainingBatch, trainingBatch } from "./batch.ts";
import {
  checkFinite,
  CHECKPOINT,
  DivergedError,
  restoreCheckpoint,
  saveCheckpoint,
} from "./checkpoint.ts";
import { isFinished, isUnfinished, TrainingFolder } from "./folder.ts";
import { lastRow, TrainingLog } from "./log.ts";
import { readBoundedText } from "../../models/text_file.ts";
import type { Recipe } from "./recipe.ts";
import { parseRecipe, recipeText } from "./recipe_file.ts";
import { Schedule, type StepResult } from "./schedule.ts";
import { type QueuedSegment, Trainer } from "./trainer.ts";

/** Steps whose measurements are read back at once: a read waits about 10 ms however small it is. */
const STEPS_PER_READ = 10;
/** A block of steps that takes less is queued before the one before it is read, where that may be. */
const QUICK_SECONDS = 0.2;
const RECIPE = "recipe.json";
/** The log's columns behind the step, the loss and the tasks' accuracies. */
const LOG_COLUMNS = ["learning_rate", "tokens_per_second", "seconds"] as const;

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
  /** Begin anew where the directory holds a finished model or a checkpoint, which are deleted. */
  readonly overwrite?: boolean;
  /** How the finished model's weights are stored. @default "f32" */
  readonly dtype?: SaveModelOptions["dtype"];
  /** Seconds of training between two checkpoints. @default 60 */
  readonly checkpointSeconds?: number;
  /** Ends the training at a checkpoint, after the steps that are queued. */
  readonly signal?: AbortSignal;
  /** Called after every few steps. */
  readonly onProgress?: (progress: TrainingProgress) => void;
}

/**
 * Trains a model by its recipe and writes it into a directory: `config.json`, `model.safetensors`,
 * `recipe.json`, `log.csv`, and `checkpoint.safetensors` while it is under way. One that is finished
 * there already stays as it is.
 *
 * @throws {Error} where the directory holds a model or a checkpoint and neither `resume` nor
 * `overwrite` is asked for, or those of another recipe; another process trains there.
 * @throws {DivergedError} where the loss or a weight is no longer finite: the last checkpoint stays.
 * @throws {DOMException} the signal's reason, where that ended it.
 */
export async function train(
  gpu: Gpu,
  recipe: Recipe,
  options: TrainOptions,
): Promise<TrainingProgress> {
  using folder = await TrainingFolder.open(options.directory, { wait: false });
  return await trainInto(folder, gpu, recipe, options);
}

/** Trains into a folder that is held already, as {@linkcode train} does. */
export async function trainInto(
  folder: TrainingFolder,
  gpu: Gpu,
  recipe: Recipe,
  options: Omit<TrainOptions, "directory">,
): Promise<TrainingProgress> {
  const { resume = false, overwrite = false } = options;
  const { path } = folder;
  if (overwrite) await clear(path);
  if (await isFinished(path)) return await finishedBefore(path, recipe, resume);
  await refuseStrayFiles(path, recipe.name, overwrite);
  if (!resume && await isUnfinished(path)) {
    throw new Error(
      `Cannot train ${recipe.name} into ${path} as it holds a checkpoint of a training: continue from it with --resume, begin anew with --overwrite, or name another folder with --out`,
    );
  }
  const tasks = await Promise.all(
    recipe.tasks.map(({ name, options }) => createTask(name, options)),
  );
  for (const task of tasks) checkVocabulary(task, recipe.name, recipe.model.vocabulary);
  using trainer = new Trainer(gpu, recipe);
  const restored = resume ? await restoreCheckpoint(path, recipe, trainer) : undefined;
  await replaceFile(join(path, RECIPE), recipeText(recipe, join(path, RECIPE)));
  const columns = ["step", "loss", ...tasks.map(({ name }) => name), ...LOG_COLUMNS];
  const log = await TrainingLog.open(path, columns, restored?.step ?? 0);
  const run = new Run(recipe, tasks, trainer, { folder, log }, options, restored);
  const last = await run.toEnd();
  await saveModel(trainer.model, path, { dtype: options.dtype });
  await Deno.remove(join(path, CHECKPOINT)).catch(() => {});
  return last;
}

/** Files that a training writes besides the model, and that may be somebody's own. */
const WRITTEN = ["config.json", "log.csv"];

/** @throws {Error} where files that are not a training's would be written over. */
async function refuseStrayFiles(path: string, name: string, overwrite: boolean): Promise<void> {
  if (overwrite || await exists(join(path, RECIPE)) || await isUnfinished(path)) return;
  for (const file of WRITTEN) {
    if (!await exists(join(path, file))) continue;
    throw new Error(
      `Cannot train ${name} into ${path} as its ${file} is of no training, and would be lost: name another folder with --out, or have it replaced with --overwrite`,
    );
  }
}

/** Takes away what a training before has left, its model first: none is there that is not whole. */
async function clear(directory: string): Promise<void> {
  for (const name of ["model.safetensors", CHECKPOINT]) {
    await Deno.remove(join(directory, name)).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
}

/** Where the training of a finished model ended. @throws {Error} where it cannot be resumed. */
async function finishedBefore(
  directory: string,
  recipe: Recipe,
  resume: boolean,
): Promise<TrainingProgress> {
  const refuse = (what: string): never => {
    throw new Error(
      `Cannot train ${recipe.name} into ${directory} as it holds ${what}: name another folder with --out, or have it replaced with --overwrite`,
    );
  };
  if (!resume) refuse("a finished model");
  const path = join(directory, RECIPE);
  const stored = parseRecipe(await readBoundedText(path), path);
  if (canonical(stored) !== canonical(recipe)) {
    refuse("a finished model that was made by another recipe");
  }
  const columns = 2 + recipe.tasks.length + LOG_COLUMNS.length;
  const [step = "0", loss = "NaN", ...rest] = await lastRow(directory, columns) ?? [];
  return {
    step: Number(step),
    end: Number(step),
    loss: Number(loss),
    accuracies: recipe.tasks.map((_, i) => rest[i] ? Number(rest[i]) : NaN),
    tokensPerSecond: Number(rest.at(-2) ?? 0),
    seconds: Number(rest.at(-1) ?? 0),
  };
}

/** Steps that are queued, or done. */
interface Block {
  readonly first: number;
  readonly batches: readonly TrainingBatch[];
  readonly queued: readonly (readonly QueuedSegment[])[];
  /** Losses, and what was right, of each segment in turn. */
  readonly reading: Promise<readonly ArrayLike<number>[]>;
}

class Run {
  readonly #recipe: Recipe;
  readonly #tasks: readonly Task[];
  readonly #trainer: Trainer;
  readonly #folder: TrainingFolder;
  readonly #log: TrainingLog;
  readonly #options: Omit<TrainOptions, "directory">;
  readonly #checkpointSeconds: number;
  readonly #schedule: Schedule;
  /** The steps whose results are taken in. */
  #step: number;
  #seconds: number;
  #checkpointAt: number;
  /** Since when the seconds count that are still to be added. */
  #since = performance.now();
  /** Whether the last block took so little that waiting for its results counts. */
  #isQuick = false;

  constructor(
    recipe: Recipe,
    tasks: readonly Task[],
    trainer: Trainer,
    { folder, log }: { folder: TrainingFolder; log: TrainingLog },
    options: Omit<TrainOptions, "directory">,
    restored: { step: number; seconds: number; schedule: Schedule } | undefined,
  ) {
    this.#recipe = recipe;
    this.#tasks = tasks;
    this.#trainer = trainer;
    this.#folder = folder;
    this.#log = log;
    this.#options = options;
    this.#checkpointSeconds = options.checkpointSeconds ?? 60;
    this.#schedule = restored?.schedule ?? new Schedule(recipe);
    this.#step = restored?.step ?? 0;
    this.#seconds = restored?.seconds ?? 0;
    this.#checkpointAt = this.#seconds + this.#checkpointSeconds;
  }

  async toEnd(): Promise<TrainingProgress> {
    const { onProgress, signal } = this.#options;
    let progress: TrainingProgress | undefined;
    let ahead: Block | undefined;
    while (this.#step < this.#schedule.end) {
      if (signal?.aborted && ahead === undefined) {
        await this.#checkpoint();
        throw signal.reason;
      }
      await this.#folder.check();
      if (ahead === undefined) this.#since = performance.now();
      const block = ahead ?? this.#queue(this.#step);
      const end = block.first + block.batches.length;
      ahead = this.#queuesAhead(end) ? this.#queue(end) : undefined;
      progress = await this.#take(block);
      if (this.#isCheckpointDue && ahead === undefined) await this.#checkpoint();
      onProgress?.(progress);
    }
    await checkFinite(this.#trainer, this.#recipe, this.#step);
    return progress ?? {
      step: this.#step,
      end: this.#schedule.end,
      loss: NaN,
      accuracies: this.#schedule.accuracies(),
      tokensPerSecond: 0,
      seconds: this.#seconds,
    };
  }

  get #isCheckpointDue(): boolean {
    return this.#seconds >= this.#checkpointAt;
  }

  /**
   * Whether the steps from one on are queued before the results of those before them are here: where no
   * result changes them, and nothing is to happen in between.
   */
  #queuesAhead(first: number): boolean {
    return this.#isQuick && this.#schedule.isFixed && first < this.#schedule.end &&
      !this.#isCheckpointDue && this.#options.signal?.aborted !== true;
  }

  /** Queues a few steps. */
  #queue(first: number): Block {
    const count = Math.min(STEPS_PER_READ, this.#schedule.end - first);
    const steps = Array.from({ length: count }, (_, i) => first + i);
    const batches = steps.map((step) => trainingBatch(this.#recipe, this.#tasks, step));
    const queued = steps.map((step, i) =>
      this.#trainer.step(batches[i], step, this.#schedule.rate(step))
    );
    const tensors = queued.flat().flatMap(({ losses, correct }) => [losses, correct]);
    const reading = this.#trainer.model.gpu.read(tensors);
    reading.catch(() => {}); // thrown where it is taken in
    for (const tensor of tensors) tensor[Symbol.dispose]();
    return { first, batches, queued, reading };
  }

  /** Waits for what a block measured, and takes it in. */
  async #take({ first, batches, queued, reading }: Block): Promise<TrainingProgress> {
    const rate = this.#schedule.rate(first);
    const results = this.#results(first, batches, queued, await reading);
    for (const result of results) this.#schedule.add(result);
    const count = batches.length;
    this.#step += count;
    const elapsed = (performance.now() - this.#since) / 1000;
    this.#since = performance.now();
    this.#seconds += elapsed;
    this.#isQuick = elapsed < QUICK_SECONDS;
    const tokens = batches.reduce((sum, batch) => sum + batch.tokens.length, 0);
    const progress: TrainingProgress = {
      step: this.#step,
      end: this.#schedule.end,
      loss: results.reduce((sum, { loss }) => sum + loss, 0) / count,
      accuracies: this.#schedule.accuracies(),
      tokensPerSecond: tokens / elapsed,
      seconds: this.#seconds,
    };
    await this.#log.append([
      progress.step,
      progress.loss.toFixed(5),
      ...progress.accuracies.map((accuracy) => isNaN(accuracy) ? "" : accuracy.toFixed(4)),
      rate.toPrecision(4),
      Math.round(progress.tokensPerSecond),
      progress.seconds.toFixed(1),
    ]);
    return progress;
  }

  #results(
    first: number,
    batches: readonly TrainingBatch[],
    queued: readonly (readonly QueuedSegment[])[],
    values: readonly ArrayLike<number>[],
  ): StepResult[] {
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
        throw new DivergedError(
          this.#recipe,
          `its loss is ${result.loss} at step ${result.step}`,
        );
      }
      return result;
    });
  }

  async #checkpoint(): Promise<void> {
    await this.#folder.check();
    await saveCheckpoint(this.#folder.path, this.#recipe, this.#trainer, {
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
