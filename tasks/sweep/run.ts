import { join } from "@std/path";
import { DeviceLostError } from "../../kernels/gpu/mod.ts";
import { replaceFile } from "../../models/checkpoints/replace_file.ts";
import type { Subject, SubjectCard, SubjectSource } from "../subject.ts";
import { messageOf, reasonOf } from "../errors.ts";
import { commitHere } from "../commit.ts";
import { fingerprintPath } from "../fingerprint.ts";
import { machineHere } from "../machine.ts";
import { isTemplateFile } from "../templates.ts";
import { VERSION } from "../version.ts";
import { type CellResult, CellRunner, type SequenceCost } from "./cell_runner.ts";
import { calibrate } from "./calibration.ts";
import {
  type Cell,
  cellKey,
  enumerateCells,
  type ModelCells,
  type OnLeftOut,
  taskKey,
  textsOf,
} from "./cells.ts";
import { Clock } from "./clock.ts";
import { checkConfiguration, gridOf, hashOf, type SweepConfiguration } from "./configuration.ts";
import { Journal } from "./journal.ts";
import { isJudged, judgeCells, type Judgement } from "./judges.ts";
import type { JournalEntry } from "./journal_line.ts";
import { findModels, MODELS } from "./models.ts";
import { planOf } from "./plan.ts";
import { Outcomes } from "./outcomes.ts";
import { SampleLog, unloggedCells } from "./sample_log.ts";
import { formatRows, round, type Row } from "./rows.ts";
import { Saves } from "./saves.ts";
import { type Shard, takeShard } from "./shards.ts";
import { begin, type Begun } from "./turns.ts";

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
  /** Called with a model that the sweep continues without: why it cannot be found, or not be asked. */
  readonly onLeftOut?: OnLeftOut;
  /** Called with the whole grid before anything is written: what it throws ends the sweep. */
  readonly onGrid?: (grid: readonly ModelCells[]) => void;
  /** Runs this share of the grid alone. */
  readonly shard?: Shard;
  /** Stops the sweep after the cell that is running; a training stops at a checkpoint. */
  readonly signal?: AbortSignal;
  /** Stops the sweep without the cell that is running: between two segments of a prompt, or two batches. */
  readonly now?: AbortSignal;
  /** Called with the numbers of the journal's lines that are damaged, whose cells are run again. */
  readonly onDamage?: (lines: readonly number[]) => void;
  /** Called with how many cells have a result, but are asked again as their samples were not logged. */
  readonly onUnlogged?: (cells: number) => void;
  /** The command that runs it, for its report. */
  readonly command?: string;
  /** Writes each sample with its answer into `samples.jsonl`. @default false */
  readonly logSamples?: boolean;
  /** Stops the sweep after the cell in which so many minutes have passed. */
  readonly minutes?: number;
  /**
   * Called with the rows of `sweep.csv` once they are written: after each round of seeds, and within
   * a long one about once a minute.
   */
  readonly onResults?: (table: readonly Row[]) => Promise<void> | void;
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
  /** Whether that was as its time was up. */
  readonly timeIsUp: boolean;
  /** Which texts are asked, one per line: "text: all of book.txt". */
  readonly texts: readonly string[];
}

/**
 * Runs every cell of a sweep that its folder's journal does not hold yet, and writes `sweep.csv`.
 * Cells run in rounds, one seed over the whole grid before the next, so that a sweep that is stopped
 * is a whole picture with fewer samples. A cell that fails is noted, and the rest continues; `resume`
 * tries it again.
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
  const { onLeftOut } = options;
  const cards = await findModels(configuration, source, { folder, onLeftOut });
  const whole = await enumerateCells(configuration, cards, onLeftOut);
  options.onGrid?.(whole);
  const { shard } = options;
  const grid = shard === undefined ? whole : takeShard(whole, configuration, shard);
  await source.adapter(); // without one no cell can have a result: that is one error, not many
  const hash = await sweepHash(configuration, cards);
  const texts = textsOf(grid);
  using journal = await Journal.open(
    options.out,
    {
      lengthwise: VERSION,
      hash,
      configuration,
      ...(shard === undefined ? {} : { shard }),
      ...(options.command === undefined ? {} : { command: options.command }),
      machine: machineHere(),
      ...(texts.length === 0 ? {} : { texts }),
      models: planOf(whole),
    },
    { resume: options.resume ?? false },
  );
  if (journal.damaged.length > 0) options.onDamage?.(journal.damaged);
  const outcomes = new Outcomes(journal.entries);
  using log = options.logSamples
    ? await SampleLog.open(options.out, outcomes.finished, { resume: options.resume ?? false })
    : undefined;
  const unlogged = log === undefined
    ? new Set<string>()
    : unloggedCells(grid, configuration, outcomes, log);
  if (unlogged.size > 0) options.onUnlogged?.(unlogged.size);
  const there = new Map([...outcomes.finished].filter(([key]) => !unlogged.has(key)));
  const resumed = grid.flatMap(({ cells }) => cells).filter((cell) => there.has(cellKey(cell)));
  const run: Run = {
    configuration,
    source,
    options,
    grid,
    journal,
    log,
    outcomes,
    unlogged,
    failed: new Map(),
    costs: new Map(),
    clock: new Clock(grid, configuration, there),
    until: performance.now() + 60_000 * (options.minutes ?? Infinity),
    saves: new Saves(),
  };
  try {
    await runRounds(run);
  } catch (error) {
    // The first error is the cause: a folder that is gone cannot hold the CSV either.
    await writeResults(options.out, outcomes.table(grid, configuration)).catch(() => {});
    throw error;
  }
  const table = outcomes.table(grid, configuration);
  await writeResults(options.out, table);
  const { total } = run.clock.state();
  const stopped = outcomes.finished.size - unlogged.size + run.failed.size < total;
  return {
    rows: outcomes.rows(grid),
    table,
    failed: grid.flatMap(({ cells }) =>
      cells.flatMap((cell) => run.failed.get(cellKey(cell)) ?? [])
    ),
    total,
    resumed: resumed.length,
    stopped,
    timeIsUp: stopped && options.signal?.aborted !== true,
    texts,
  };
}

/** Fields of a sweep that change no result, or whose effect is in a model's fingerprint. */
const NOT_ASKED = ["tokenizer", "dtype", "checkpoints", "source", "differences"] as const;

/**
 * Says of two journals whether they are of one sweep: of one grid, of models with the same weights, of
 * tasks made from the same files.
 */
export async function sweepHash(
  configuration: SweepConfiguration,
  cards: readonly SubjectCard[],
): Promise<string> {
  // How a checkpoint is kept and read is in its fingerprint.
  const asked = NOT_ASKED.reduce<Partial<SweepConfiguration>>(
    (rest, field) => ({ ...rest, [field]: undefined }),
    configuration,
  );
  const templates = [...configuration.templates ?? [], ...cards.map(({ template }) => template)];
  const files = Object.values(configuration.taskOptions ?? {}).flatMap(Object.values)
    .concat(templates.filter((name) => name !== undefined && isTemplateFile(name)))
    .filter((value) => typeof value === "string");
  const contents = await Promise.all([...new Set(files)].map(fingerprintPath));
  const models = cards.map((
    { name, family, parameters, trainLength, window, fingerprint },
  ) => [name, family, parameters, trainLength, window, fingerprint]);
  // Older versions asked models that were trained on a text the last tenth of every other text.
  const isOther = configuration.taskOptions?.text?.file !== undefined &&
    cards.some(({ tasks }) => tasks.includes("text"));
  return await hashOf([asked, VERSION, models, contents, ...(isOther ? ["all of a text"] : [])]);
}

/** A sweep that is running. */
interface Run {
  readonly configuration: SweepConfiguration;
  readonly source: SubjectSource;
  readonly options: SweepOptions;
  readonly grid: readonly ModelCells[];
  readonly journal: Journal;
  /** Where samples go, where they are logged. */
  readonly log: SampleLog | undefined;
  readonly outcomes: Outcomes;
  /** Cells that have a result, but none of their samples are logged, by {@linkcode cellKey}. */
  readonly unlogged: Set<string>;
  /** Cells that failed in this run, by {@linkcode cellKey}. */
  readonly failed: Map<string, FailedCell>;
  /** What one sequence costs each model, by length. */
  readonly costs: Map<string, Map<number, SequenceCost>>;
  readonly clock: Clock;
  /** When its time is up. */
  readonly until: number;
  readonly saves: Saves;
}

/** A model that is loaded. */
interface OpenModel {
  readonly card: SubjectCard;
  readonly subject: Subject & AsyncDisposable;
}

/** A cell that is computed, while its answers may still be on their way. */
interface BegunCell extends Begun<CellResult> {
  readonly cell: Cell;
  readonly started: Date;
  /** How long it was computed. */
  readonly seconds: number;
}

/** Runs one seed over the whole grid before the next. */
async function runRounds(run: Run): Promise<void> {
  let open: OpenModel | undefined;
  try {
    const rounds = roundsOf(run);
    for (const [i, round] of rounds.entries()) {
      for (const model of round) {
        if (isOver(run)) return;
        if (model.cells.every((cell) => run.failed.has(cellKey(cell)))) continue; // it did not load
        const judged = isJudged(model);
        if (open?.card !== model.card || judged) { // with one model alone, it stays
          await open?.subject[Symbol.asyncDispose]();
          open = undefined;
        }
        const judgements = judged ? await judge(run, model) : new Map<string, Judgement>();
        if (judgements === undefined) return; // it was ended
        open ??= await openModel(run, model);
        if (open !== undefined) await runModel(run, model, { subject: open.subject, judgements });
      }
      if (i + 1 < rounds.length) await save(run, true); // behind the last, the end writes
    }
  } finally {
    await open?.subject[Symbol.asyncDispose]();
  }
}

/** The cells that are left, by rounds: the first seed of each task, then the second, … */
function roundsOf({ grid, configuration, outcomes, unlogged }: Run): ModelCells[][] {
  const roundOf = ({ task, seed }: Cell): number =>
    Math.max(0, gridOf(configuration, task).seeds.indexOf(seed)); // others choose a learning rate
  const rounds: ModelCells[][] = [];
  for (const model of grid) {
    const left = model.cells.filter((cell) =>
      !outcomes.finished.has(cellKey(cell)) || unlogged.has(cellKey(cell))
    );
    for (const [round, cells] of Map.groupBy(left, roundOf)) {
      (rounds[round] ??= []).push({ ...model, cells });
    }
  }
  return rounds.filter((round) => round !== undefined);
}

/** Whether a sweep was told to stop, or its time is up. */
function isOver({ options, until }: Run): boolean {
  return options.signal?.aborted === true || performance.now() >= until;
}

/** Loads a model; where that fails, none of its cells has a result. */
async function openModel(run: Run, { card, cells }: ModelCells): Promise<OpenModel | undefined> {
  const { grid, source, options: { signal, onProgress }, outcomes, failed, clock } = run;
  onProgress?.({ cell: cells[0], ...clock.state() });
  try {
    return { card, subject: await source.open(card, { signal }) };
  } catch (error) {
    if (isStop(error, signal)) return undefined;
    if (error instanceof DeviceLostError) throw error;
    for (const cell of grid.find((model) => model.card === card)!.cells) {
      const key = cellKey(cell);
      if (outcomes.finished.has(key) || failed.has(key)) continue;
      await note(run, cell, { failed: messageOf(error) });
    }
    return undefined;
  }
}

/** Has other models judge a model's cells; undefined where that was ended. */
async function judge(
  { configuration, source, options: { now } }: Run,
  model: ModelCells,
): Promise<ReadonlyMap<string, Judgement> | undefined> {
  try {
    return await judgeCells(model, configuration, source, now);
  } catch (error) {
    if (isStop(error, now)) return undefined;
    throw error;
  }
}

/** Runs a model's cells of a round. */
async function runModel(
  run: Run,
  model: ModelCells,
  { subject, judgements }: {
    readonly subject: Subject;
    readonly judgements: ReadonlyMap<string, Judgement>;
  },
): Promise<void> {
  const { card, tasks, cells } = model;
  const { configuration, source, options: { now, onProgress }, journal, log, failed, clock } = run;
  const costs = run.costs.get(card.name) ?? await calibrated(run, model, subject);
  run.costs.set(card.name, costs);
  const adapter = await source.adapter();
  const logs = log !== undefined;
  const runner = new CellRunner(subject, configuration, { adapter, costs, signal: now, logs });
  const begun: BegunCell[] = []; // whose answers may be on their way
  try {
    for (const cell of cells) {
      if (failed.has(cellKey(cell))) continue;
      if (isOver(run)) return;
      await journal.check();
      onProgress?.({ cell, ...clock.state() });
      const started = new Date();
      const answering = await begin(async (onComputed) => {
        const keys = judgements.get(cellKey(cell));
        if (keys instanceof Error) throw keys;
        return await runner.run(cell, tasks.get(taskKey(cell))!, { keys, onComputed });
      });
      const seconds = (Date.now() - started.getTime()) / 1000;
      begun.push({ ...answering, cell, started, seconds });
      // The answers of one came while the next was computed; nothing is computed now.
      while (begun.length > 1 || begun[0]?.isDone) await finishCell(run, begun.shift()!);
    }
  } finally {
    for (const cell of begun) await finishCell(run, cell);
  }
}

/** Notes what becomes of a cell; of one that was ended, nothing. */
async function finishCell(run: Run, { cell, done, started, seconds }: BegunCell): Promise<void> {
  let outcome: { rows: Row[] } | { failed: string };
  let records: CellResult["records"];
  try {
    const result = await done;
    records = result.records;
    outcome = { rows: result.rows };
  } catch (error) {
    if (isStop(error, run.options.now)) return;
    if (error instanceof DeviceLostError) throw error;
    outcome = { failed: messageOf(error) };
  }
  if (records !== undefined) await run.log?.append(records); // a cell of the journal has them
  const commit = await commitHere();
  await note(run, cell, outcome, {
    seconds: round(seconds),
    started: started.toISOString(),
    ...(commit === undefined ? {} : { commit }),
  });
  await save(run, false);
}

/**
 * Has a model that is asked much calibrated, by which the clock knows what is left.
 *
 * @returns What one sequence costs it, as far as that was measured.
 */
async function calibrated(
  { grid, clock, configuration, options: { signal, now } }: Run,
  { card }: ModelCells,
  subject: Subject,
): Promise<Map<number, SequenceCost>> {
  const model = grid.find((model) => model.card === card)!;
  if (signal?.aborted || !clock.isWorthCalibrating(model)) return new Map();
  try {
    const calibration = await calibrate(subject, model, configuration, { signal: now });
    clock.calibrate(card.name, calibration);
    return new Map(calibration.steps);
  } catch (error) {
    if (error instanceof DeviceLostError) throw error;
    return new Map(); // the cell that fails says why
  }
}

/** Notes what became of a cell, on the disk first. */
async function note(
  { source, options, journal, outcomes, unlogged, failed, clock }: Run,
  cell: Cell,
  outcome: { rows: Row[] } | { failed: string },
  when: Pick<JournalEntry, "seconds" | "started" | "commit"> = {},
): Promise<void> {
  const isFailure = "failed" in outcome;
  const key = cellKey(cell);
  const entry: JournalEntry = {
    cell: key,
    ...outcome,
    ...when,
    ...(isFailure ? { adapter: await source.adapter() } : {}),
  };
  if (!outcomes.finished.has(key)) await journal.append(entry); // else its samples alone were missing
  outcomes.add(entry);
  if (!isFailure) unlogged.delete(key);
  if (isFailure) failed.set(key, { cell, reason: outcome.failed });
  clock.finish(cell, when.seconds ?? 0, isFailure);
  options.onProgress?.({ cell, ...clock.state(), ...outcome });
}

/** Writes what there is so far, for whoever looks at it while it runs. */
async function save(
  { options, outcomes, grid, configuration, saves }: Run,
  roundEnded: boolean,
): Promise<void> {
  if (!saves.isDue(roundEnded)) return;
  await saves.run(async () => {
    const table = outcomes.table(grid, configuration);
    await writeResults(options.out, table);
    await options.onResults?.(table);
  });
}

/** Whether an error is that something was ended by a signal. */
function isStop(error: unknown, signal: AbortSignal | undefined): boolean {
  return signal !== undefined && signal.aborted && error === signal.reason;
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
      }; the cells are safe in the journal: continue with --resume`,
      { cause: error },
    );
  }
}
