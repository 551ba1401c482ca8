import { type Cell, cellKey, type ModelCells, taskKey } from "./cells.ts";
import { gridOf, samplesOf, type SweepConfiguration } from "./configuration.ts";
import type { JournalEntry } from "./journal_line.ts";
import { FAILED, type Row } from "./rows.ts";
import { variantOf } from "./trainings.ts";
import { VERSION } from "../version.ts";

/** Why a cell has no result, and where it was tried. */
export interface Failure {
  /** What went wrong. */
  readonly reason: string;
  /** The adapter; undefined where the journal does not say. */
  readonly adapter?: string;
  /** How long it took, in seconds. */
  readonly seconds?: number;
  /** When it was begun. */
  readonly started?: string;
  /** The commit that ran it. */
  readonly commit?: string;
}

/** What became of a sweep's cells, by {@linkcode cellKey}: the last word on each. */
export class Outcomes {
  /** The results of cells that have them. */
  readonly finished: ReadonlyMap<string, readonly Row[]>;
  /** The cells that were tried and have none. */
  readonly failed: ReadonlyMap<string, Failure>;
  readonly #finished = new Map<string, readonly Row[]>();
  readonly #failed = new Map<string, Failure>();

  /** Takes in what journals hold, in order. */
  constructor(entries: Iterable<JournalEntry> = []) {
    this.finished = this.#finished;
    this.failed = this.#failed;
    for (const entry of entries) this.add(entry);
  }

  /** Takes in what became of a cell. A result is final; a failure is forgotten when there is one. */
  add({ cell, rows, failed, adapter, seconds, started, commit }: JournalEntry): void {
    if (rows !== undefined) {
      const run = { seconds, started, commit };
      const known = Object.entries(run).filter(([, value]) => value !== undefined);
      const whole = rows.map((row) => ({ ...row, ...Object.fromEntries(known) }));
      if (!this.#finished.has(cell)) this.#finished.set(cell, whole);
      this.#failed.delete(cell);
    } else if (!this.#finished.has(cell)) {
      const where = { adapter, seconds, started, commit };
      const known = Object.entries(where).filter(([, value]) => value !== undefined);
      this.#failed.set(cell, { reason: failed ?? "unknown", ...Object.fromEntries(known) });
    }
  }

  /** The results in the order of the grid. */
  rows(grid: readonly ModelCells[]): readonly Row[] {
    return grid.flatMap(({ cells }) =>
      cells.flatMap((cell) => this.#finished.get(cellKey(cell)) ?? [])
    );
  }

  /** The rows of the CSV in the order of the grid: a cell that failed has one that says so. */
  table(grid: readonly ModelCells[], configuration: SweepConfiguration): readonly Row[] {
    return grid.flatMap((model) =>
      model.cells.flatMap((cell) => {
        const key = cellKey(cell);
        const failure = this.#failed.get(key);
        return this.#finished.get(key) ??
          (failure === undefined ? [] : [{
            ...failedRow(model, configuration, cell, failure),
            variant: variantOf(model.card, configuration.trainings),
          }]);
      })
    );
  }
}

function failedRow(
  { card, tasks }: ModelCells,
  configuration: SweepConfiguration,
  cell: Cell,
  { reason, adapter = "", ...run }: Failure,
): Row {
  const { task, template, length, depth, load, seed } = cell;
  const { metric } = tasks.get(taskKey(cell))!;
  return {
    model: card.name,
    family: card.family,
    parameters: card.parameters,
    ...(card.description?.dtype === undefined ? {} : { dtype: card.description.dtype }),
    state_bytes: card.stateBytes?.(length) ?? 0,
    train_length: card.trainLength,
    ...(card.training === undefined ? {} : {
      train_seed: card.training.seed,
      train_tokens: card.training.tokens,
      learning_rate: card.training.learningRate,
    }),
    task,
    ...(template === undefined ? {} : { template }),
    length,
    ...(depth === undefined ? {} : { depth }),
    ...(load === undefined ? {} : { load }),
    seed,
    samples: samplesOf(gridOf(configuration, task), metric, length),
    metric: FAILED,
    value: 1,
    reason,
    ...run,
    adapter,
    version: VERSION,
  };
}
