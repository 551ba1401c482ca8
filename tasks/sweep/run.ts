import { join } from "@std/path";
import { DeviceLostError } from "../../kernels/gpu/mod.ts";
import type { Answers, Subject, SubjectCard, SubjectSource } from "../subject.ts";
import type { Sample, Task } from "../task.ts";
import { fingerprintPath } from "../fingerprint.ts";
import { VERSION } from "../version.ts";
import {
  type Cell,
  cellKey,
  enumerateCells,
  type ModelCells,
  taskKey,
  trainLengthOf,
} from "./cells.ts";
import {
  checkConfiguration,
  gridOf,
  hashOf,
  samplesOf,
  type SweepConfiguration,
} from "./configuration.ts";
import { Journal } from "./journal.ts";
import { findModels, MODELS } from "./models.ts";
import { formatRows, round, roundFinite, type Row } from "./rows.ts";
import { score } from "./score.ts";
import { type Shard, takeShard } from "./shards.ts";

/** The results' file in a results folder. */
export const RESULTS = "sweep.csv";

/** How many tokens a batch may hold; a longer sample is a batch of its own. */
const BATCH_TOKENS = 2 ** 15;

/** How many samples of a length are answered at once. */
export function batchSize(length: number): number {
  return Math.max(1, Math.floor(BATCH_TOKENS / length));
}

/** Where a sweep stands. */
export interface SweepProgress {
  /** The cell that is running, or was run last. */
  readonly cell: Cell;
  /** Its results, once it is done. */
  readonly rows?: readonly Row[];
  /** Why it has none, where it failed. */
  readonly failed?: string;
  /** Cells that are done, those of an earlier run among them. */
  readonly done: number;
  /** Cells in all. */
  readonly total: number;
  /** Models with cells that are still to be run, the current one among them. */
  readonly modelsLeft: number;
  /** An estimate of the time that is left; nothing before the first cell is done. */
  readonly millisecondsLeft?: number;
}

/** How a sweep is run. */
export interface SweepOptions {
  /** The results' folder. */
  readonly out: string;
  /** Go on with the results that are there; false unless told. */
  readonly resume?: boolean;
  /** Where the models are that it trains: `models` in the results' folder unless told. */
  readonly models?: string;
  /** Runs this share of the grid alone. */
  readonly shard?: Shard;
  /** Stops the sweep after the cell that is running. */
  readonly signal?: AbortSignal;
  /** Called before and after each cell. */
  readonly onProgress?: (progress: SweepProgress) => void;
}

/** A cell without results. */
export interface FailedCell {
  /** The cell. */
  readonly cell: Cell;
  /** What went wrong. */
  readonly reason: string;
}

/** What a sweep leaves. */
export interface SweepResult {
  /** All rows, in the order of the grid. */
  readonly rows: readonly Row[];
  /** Cells that have no result. */
  readonly failed: readonly FailedCell[];
  /** Cells in all. */
  readonly total: number;
  /** Cells that an earlier run had done. */
  readonly resumed: number;
  /** Whether it was stopped before its end. */
  readonly stopped: boolean;
}

/**
 * Runs every cell of a sweep that its folder's journal does not hold yet, and writes `sweep.csv`.
 * A cell that fails is noted, and the rest goes on; `resume` tries it again.
 *
 * @throws {Error} where the configuration does not fit the models, there is no adapter, the folder
 * cannot be written, or the GPU is lost; the cells before are in the journal.
 */
export async function runSweep(
  configuration: SweepConfiguration,
  source: SubjectSource,
  options: SweepOptions,
): Promise<SweepResult> {
  checkConfiguration(configuration);
  const folder = options.models ?? join(options.out, MODELS);
  const cards = await findModels(configuration, source, { folder });
  const whole = await enumerateCells(configuration, cards);
  const { shard } = options;
  const grid = shard === undefined ? whole : takeShard(whole, configuration, shard);
  await source.adapter(); // without one no cell can have a result: that is one error, not many
  const hash = await sweepHash(configuration, cards);
  using journal = await Journal.open(
    options.out,
    { lengthwise: VERSION, hash, configuration, ...(shard === undefined ? {} : { shard }) },
    { resume: options.resume ?? false },
  );
  const finished = new Map(
    journal.entries.flatMap(({ cell, rows }) => rows === undefined ? [] : [[cell, rows]]),
  );
  const resumed = grid.flatMap(({ cells }) => cells).filter((cell) => finished.has(cellKey(cell)));
  const failed: FailedCell[] = [];
  const clock = new Clock(grid, finished);
  try {
    for (const model of grid) {
      if (options.signal?.aborted) break;
      await runModel(model, configuration, source, options, journal, finished, failed, clock);
    }
  } finally {
    await writeResults(options.out, grid, finished);
  }
  const done = finished.size + failed.length;
  return {
    rows: rowsOf(grid, finished),
    failed,
    total: clock.total,
    resumed: resumed.length,
    stopped: done < clock.total,
  };
}

/**
 * Says of two journals whether they are of one sweep: of one grid, of models with the same weights, of
 * tasks made from the same files.
 */
export async function sweepHash(
  configuration: SweepConfiguration,
  cards: readonly SubjectCard[],
): Promise<string> {
  const files = Object.values(configuration.taskOptions ?? {}).flatMap(Object.values)
    .filter((value) => typeof value === "string");
  const contents = await Promise.all([...new Set(files)].map(fingerprintPath));
  const models = cards.map((
    { name, family, parameters, trainLength, window, fingerprint },
  ) => [name, family, parameters, trainLength, window, fingerprint]);
  return await hashOf([configuration, VERSION, models, contents]);
}

async function runModel(
  { card, tasks, cells }: ModelCells,
  configuration: SweepConfiguration,
  source: SubjectSource,
  { signal, onProgress }: SweepOptions,
  journal: Journal,
  finished: Map<string, readonly Row[]>,
  failed: FailedCell[],
  clock: Clock,
): Promise<void> {
  const left = cells.filter((cell) => !finished.has(cellKey(cell)));
  if (left.length === 0) return;
  const note = async (cell: Cell, outcome: { rows?: readonly Row[]; failed?: string }) => {
    await journal.append({ cell: cellKey(cell), ...outcome });
    if (outcome.rows) finished.set(cellKey(cell), outcome.rows);
    else failed.push({ cell, reason: outcome.failed! });
    clock.finish(cell);
    onProgress?.({ cell, ...clock.progress(), ...outcome });
  };

  onProgress?.({ cell: left[0], ...clock.progress() });
  let subject: Subject & AsyncDisposable;
  try {
    subject = await source.open(card);
  } catch (error) {
    if (error instanceof DeviceLostError) throw error;
    for (const cell of left) await note(cell, { failed: messageOf(error) });
    return;
  }
  try {
    const adapter = await source.adapter();
    const runner = new CellRunner(subject, configuration, adapter);
    for (const cell of left) {
      if (signal?.aborted) return;
      onProgress?.({ cell, ...clock.progress() });
      clock.start();
      let outcome: { rows?: readonly Row[]; failed?: string };
      try {
        outcome = { rows: await runner.run(cell, tasks.get(taskKey(cell))!) };
      } catch (error) {
        if (error instanceof DeviceLostError) throw error;
        outcome = { failed: messageOf(error) };
      }
      await note(cell, outcome);
    }
  } finally {
    await subject[Symbol.asyncDispose]();
  }
}

interface SequenceCost {
  readonly stepMilliseconds: number;
  readonly peakBytes: number;
}

/** Runs cells of one model. */
class CellRunner {
  readonly #subject: Subject;
  readonly #configuration: SweepConfiguration;
  readonly #adapter: string;
  /** What one sequence costs, by length: the same for all cells of a length. */
  readonly #costs = new Map<number, SequenceCost>();

  constructor(subject: Subject, configuration: SweepConfiguration, adapter: string) {
    this.#subject = subject;
    this.#configuration = configuration;
    this.#adapter = adapter;
  }

  async run(cell: Cell, task: Task): Promise<Row[]> {
    const { name, family, parameters, training, window, sinks, reach } = this.#subject;
    const { length, depth, load, seed } = cell;
    const count = samplesOf(gridOf(this.#configuration, cell.task), task.metric, length);
    const samples = Array.from(
      { length: count },
      (_, index) => task.sample({ length, seed, index, split: "test", depth, load }),
    );
    const { stepMilliseconds, peakBytes } = await this.#cost(length, samples[0]);
    const answers = await this.#answer(samples, length);
    const trainLength = trainLengthOf(this.#configuration, this.#subject);
    const laws = { load, window, sinks, reach, trainLength };
    const scores = score(task, samples, answers, { ...laws, depth });
    return scores.map(({ metric, value, low, high, distance, samples = count }): Row => ({
      model: name,
      family,
      parameters,
      state_bytes: this.#subject.stateBytes(length),
      train_length: trainLength,
      train_seed: training?.seed,
      train_tokens: training?.tokens,
      learning_rate: training?.learningRate,
      task: cell.task,
      template: cell.template,
      length,
      depth,
      load,
      distance,
      seed,
      samples,
      metric,
      value: round(value),
      ci_low: roundFinite(low),
      ci_high: roundFinite(high),
      prefill_ms: round(answers.prefillMilliseconds / count),
      step_ms: round(stepMilliseconds),
      peak_bytes: peakBytes,
      adapter: this.#adapter,
      version: VERSION,
    }));
  }

  /** Reads one sample, which also has a new length's kernels compiled before anything is timed. */
  async #cost(length: number, sample: Sample): Promise<SequenceCost> {
    let cost = this.#costs.get(length);
    if (cost === undefined) {
      const { peakBytes } = await this.#subject.answer([sample]);
      cost = { peakBytes, stepMilliseconds: await this.#subject.stepMilliseconds(length) };
      this.#costs.set(length, cost);
    }
    return cost;
  }

  async #answer(
    samples: readonly Sample[],
    length: number,
  ): Promise<Omit<Answers, "peakBytes">> {
    const size = batchSize(length);
    const parts: Answers[] = [];
    for (let i = 0; i < samples.length; i += size) {
      parts.push(await this.#subject.answer(samples.slice(i, i + size)));
    }
    return {
      correct: parts.flatMap(({ correct }) => correct),
      nll: parts.flatMap(({ nll }) => nll),
      replies: parts.flatMap(({ replies = [] }) => replies),
      prefillMilliseconds: parts.reduce((sum, part) => sum + part.prefillMilliseconds, 0),
    };
  }
}

/** Counts cells and guesses the time left, taking a cell's cost to grow with its tokens. */
class Clock {
  readonly total: number;
  readonly #left: Map<string, Map<string, number>>;
  #spent = 0;
  #tokens = 0;
  #started = performance.now();

  constructor(grid: readonly ModelCells[], finished: ReadonlyMap<string, unknown>) {
    this.total = grid.reduce((sum, { cells }) => sum + cells.length, 0);
    this.#left = new Map(grid.map(({ card, cells }) => [
      card.name,
      new Map(
        cells.map((cell) => [cellKey(cell), cell.length] as const)
          .filter(([key]) => !finished.has(key)),
      ),
    ]));
  }

  start(): void {
    this.#started = performance.now();
  }

  finish(cell: Cell): void {
    this.#left.get(cell.model)!.delete(cellKey(cell));
    const now = performance.now();
    this.#spent += now - this.#started;
    this.#started = now;
    this.#tokens += cell.length;
  }

  progress(): Pick<SweepProgress, "done" | "total" | "modelsLeft" | "millisecondsLeft"> {
    const models = [...this.#left.values()].filter(({ size }) => size > 0);
    const cells = models.flatMap((left) => [...left.values()]);
    return {
      done: this.total - cells.length,
      total: this.total,
      modelsLeft: models.length,
      ...(this.#tokens === 0 ? {} : {
        millisecondsLeft: cells.reduce((sum, length) => sum + length, 0) * this.#spent /
          this.#tokens,
      }),
    };
  }
}

/** The rows of the finished cells, in the order of the grid. */
export function rowsOf(
  grid: readonly ModelCells[],
  finished: ReadonlyMap<string, readonly Row[]>,
): readonly Row[] {
  return grid.flatMap(({ cells }) => cells.flatMap((cell) => finished.get(cellKey(cell)) ?? []));
}

/**
 * Writes the CSV beside the journal, whole or not at all.
 *
 * @throws {Error} where it cannot be written; the journal has the cells.
 */
export async function writeResults(
  folder: string,
  grid: readonly ModelCells[],
  finished: ReadonlyMap<string, readonly Row[]>,
): Promise<void> {
  const path = join(folder, RESULTS);
  try {
    await Deno.writeTextFile(`${path}.part`, formatRows(rowsOf(grid, finished)));
    await Deno.rename(`${path}.part`, path);
  } catch (error) {
    await Deno.remove(`${path}.part`).catch(() => {}); // on a full disk, its room is needed
    throw new Error(
      `Cannot write ${path}: ${
        messageOf(error)
      }; the cells are safe in the journal: go on with --resume`,
      { cause: error },
    );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
