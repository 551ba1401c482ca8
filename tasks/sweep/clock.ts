import { type Cell, cellKey, type ModelCells, taskKey } from "./cells.ts";
import type { SweepConfiguration } from "./configuration.ts";
import { fitNonNegative } from "./fit.ts";
import { cellCost } from "./shards.ts";

/** How far a sweep is. */
export interface ClockState {
  /** Cells that are done. */
  readonly done: number;
  /** Cells in all. */
  readonly total: number;
  /** Models with cells that are still to be run. */
  readonly modelsLeft: number;
  /** An estimate of the time that is left; nothing before some cells are done. */
  readonly millisecondsLeft?: number;
}

/** Measurements before there is an estimate. */
const FEWEST = 4;
/** Beyond so many measurements the fit is made anew after each {@linkcode REFIT} only. */
const MANY = 64;
const REFIT = 16;

/** What of a cell its time depends on. */
interface Load {
  /** Multiplications, as far as is known before it runs. */
  readonly work: number;
  /** Which cells take the same time: those that differ by the seed alone. */
  readonly kind: string;
}

/**
 * Counts cells, and estimates the time that is left from those that were run. A cell takes as long as
 * another that differs by its seed alone; where none was run yet, a part that is the same for all, one
 * that grows with its multiplications, and one for a model's first cell of a length, as all that were
 * run say.
 */
export class Clock {
  readonly #total: number;
  readonly #loads = new Map<string, Load>();
  readonly #left = new Map<string, Set<string>>();
  readonly #byKind = new Map<string, number>();
  readonly #lengths = new Set<string>();
  readonly #terms: number[][] = [];
  readonly #milliseconds: number[] = [];
  #rates: number[] | undefined;
  #started = performance.now();

  /** @param finished Cells that are done already, by {@linkcode cellKey}. */
  constructor(
    grid: readonly ModelCells[],
    configuration: SweepConfiguration,
    finished: ReadonlyMap<string, unknown>,
  ) {
    this.#total = grid.reduce((sum, { cells }) => sum + cells.length, 0);
    for (const { card, tasks, cells } of grid) {
      const keys = new Set<string>();
      for (const cell of cells) {
        const key = cellKey(cell);
        if (finished.has(key)) continue;
        keys.add(key);
        const work = cellCost(card, cell, configuration, tasks.get(taskKey(cell))!);
        this.#loads.set(key, { work, kind: cellKey({ ...cell, seed: 0 }) });
      }
      this.#left.set(card.name, keys);
    }
  }

  /** A cell begins. */
  start(): void {
    this.#started = performance.now();
  }

  /** A cell has ended; where it failed, its time says nothing of others. */
  finish(cell: Cell, failed: boolean): void {
    const key = cellKey(cell);
    this.#left.get(cell.model)?.delete(key);
    const milliseconds = performance.now() - this.#started;
    this.start();
    const load = this.#loads.get(key);
    if (failed || load === undefined) return;
    const length = `${cell.model} ${cell.length}`;
    const first = !this.#lengths.has(length);
    this.#lengths.add(length);
    if (!first || !this.#byKind.has(load.kind)) this.#byKind.set(load.kind, milliseconds);
    this.#terms.push([1, load.work, Number(first)]);
    this.#milliseconds.push(Math.max(milliseconds, 0.01));
    const count = this.#terms.length;
    if (count <= MANY || count % REFIT === 0) {
      this.#rates = count < FEWEST ? undefined : fitNonNegative(this.#terms, this.#milliseconds);
    }
  }

  /** Where the sweep stands. */
  state(): ClockState {
    const left = [...this.#left.values()].filter(({ size }) => size > 0);
    const keys = left.flatMap((keys) => [...keys]);
    return {
      done: this.#total - keys.length,
      total: this.#total,
      modelsLeft: left.length,
      ...(this.#rates === undefined ? {} : { millisecondsLeft: this.#estimate(keys, this.#rates) }),
    };
  }

  #estimate(keys: readonly string[], [each, ofWork, ofFirst]: readonly number[]): number {
    const lengths = new Set(this.#lengths);
    return keys.reduce((sum, key) => {
      const { work, kind } = this.#loads.get(key)!;
      const known = this.#byKind.get(kind);
      if (known !== undefined) return sum + known;
      const [model, , length] = JSON.parse(key);
      const first = !lengths.has(`${model} ${length}`);
      lengths.add(`${model} ${length}`);
      return sum + each + ofWork * work + (first ? ofFirst : 0);
    }, 0);
  }
}
