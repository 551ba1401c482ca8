import { join } from "@std/path";
import { DeviceLostError } from "../../kernels/gpu/mod.ts";
import { replaceFile } from "../../models/checkpoints/replace_file.ts";
import type { Subject, SubjectCard, SubjectSource } from "../subject.ts";
import { messageOf, reasonOf } from "../errors.ts";
import { fingerprintPath } from "../fingerprint.ts";
import { VERSION } from "../version.ts";
import { CellRunner } from "./cell_runner.ts";
import { type Cell, cellKey, enumerateCells, type ModelCells, taskKey } from "./cells.ts";
import { checkConfiguration, hashOf, type SweepConfiguration } from "./configuration.ts";
import { Journal } from "./journal.ts";
import type { JournalEntry } from "./journal_line.ts";
import { findModels, MODELS } from "./models.ts";
import { Outcomes } from "./outcomes.ts";
import { formatRows, type Row } from "./rows.ts";
import { type Shard, takeShard } from "./shards.ts";

/** The results' file in a results folder. */
export const RESULTS = "sweep.csv";

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
  /** Go on with the results that are there. @default false */
  readonly resume?: boolean;
  /** Where the models are that it trains. @default `models` in the results' folder */
  readonly models?: string;
  /** Runs this share of the grid alone. */
  readonly shard?: Shard;
  /** Stops the sweep after the cell that is running; a training stops at a checkpoint. */
  readonly signal?: AbortSignal;
  /** Stops the sweep without the cell that is running, between two batches of it. */
  readonly now?: AbortSignal;
  /** Called with the numbers of the journal's lines that are damaged, whose cells are run again. */
  readonly onDamage?: (lines: readonly number[]) => void;
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
  /** The results, in the order of the grid. */
  readonly rows: readonly Row[];
  /** The rows of `sweep.csv`: the results, and a row for each cell that was tried and has none. */
  readonly table: readonly Row[];
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
 * cannot be written or is deleted meanwhile, or the GPU is lost; the cells before are in the journal.
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
  if (journal.damaged.length > 0) options.onDamage?.(journal.damaged);
  const outcomes = new Outcomes(journal.entries);
  const resumed = grid.flatMap(({ cells }) => cells)
    .filter((cell) => outcomes.finished.has(cellKey(cell)));
  const failed: FailedCell[] = [];
  const clock = new Clock(grid, outcomes.finished);
  const run: Run = { configuration, source, options, journal, outcomes, failed, clock };
  try {
    for (const model of grid) {
      if (options.signal?.aborted) break;
      await runModel(run, model);
    }
  } catch (error) {
    // The first error is the cause: a folder that is gone cannot hold the CSV either.
    await writeResults(options.out, outcomes.table(grid, configuration)).catch(() => {});
    throw error;
  }
  const table = outcomes.table(grid, configuration);
  await writeResults(options.out, table);
  const { total } = clock;
  return {
    rows: outcomes.rows(grid),
    table,
    failed,
    total,
    resumed: resumed.length,
    stopped: outcomes.finished.size + failed.length < total,
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

/** A sweep that is running. */
interface Run {
  readonly configuration: SweepConfiguration;
  readonly source: SubjectSource;
  readonly options: SweepOptions;
  readonly journal: Journal;
  readonly outcomes: Outcomes;
  /** Cells that failed in this run. */
  readonly failed: FailedCell[];
  readonly clock: Clock;
}

async function runModel(run: Run, { card, tasks, cells }: ModelCells): Promise<void> {
  const { configuration, source, options, journal, outcomes, failed, clock } = run;
  const { signal, now, onProgress } = options;
  const left = cells.filter((cell) => !outcomes.finished.has(cellKey(cell)));
  if (left.length === 0) return;
  const adapter = await source.adapter();
  const note = async (cell: Cell, outcome: { rows: Row[] } | { failed: string }) => {
    const entry: JournalEntry = {
      cell: cellKey(cell),
      ...outcome,
      ...("failed" in outcome ? { adapter } : {}),
    };
    await journal.append(entry);
    outcomes.add(entry);
    if ("failed" in outcome) failed.push({ cell, reason: outcome.failed });
    clock.finish(cell);
    onProgress?.({ cell, ...clock.progress(), ...outcome });
  };

  onProgress?.({ cell: left[0], ...clock.progress() });
  let subject: Subject & AsyncDisposable;
  try {
    subject = await source.open(card, { signal });
  } catch (error) {
    if (isStop(error, signal)) return;
    if (error instanceof DeviceLostError) throw error;
    for (const cell of left) await note(cell, { failed: messageOf(error) });
    return;
  }
  try {
    const runner = new CellRunner(subject, configuration, adapter, now);
    for (const cell of left) {
      if (signal?.aborted) return;
      await journal.check();
      onProgress?.({ cell, ...clock.progress() });
      clock.start();
      let outcome: { rows: Row[] } | { failed: string };
      try {
        outcome = { rows: await runner.run(cell, tasks.get(taskKey(cell))!) };
      } catch (error) {
        if (isStop(error, now)) return;
        if (error instanceof DeviceLostError) throw error;
        outcome = { failed: messageOf(error) };
      }
      await note(cell, outcome);
    }
  } finally {
    await subject[Symbol.asyncDispose]();
  }
}

/** Whether an error is that something was ended by a signal. */
function isStop(error: unknown, signal: AbortSignal | undefined): boolean {
  return signal !== undefined && signal.aborted && error === signal.reason;
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

/**
 * Writes the CSV beside the journal, whole or not at all.
 *
 * @throws {Error} where it cannot be written; the journal has the cells.
 */
export async function writeResults(folder: string, rows: readonly Row[]): Promise<void> {
  const path = join(folder, RESULTS);
  try {
    await replaceFile(path, formatRows(rows));
  } catch (error) {
    throw new Error(
      `Cannot write ${path}: ${
        reasonOf(error)
      }; the cells are safe in the journal: go on with --resume`,
      { cause: error },
    );
  }
}
