import type { Calibration } from "./calibration.ts";
import { type Cell, cellKey, type ModelCells, taskKey } from "./cells.ts";
import { gridOf, samplesOf, type SweepConfiguration } from "./configuration.ts";
import type { Row } from "./rows.ts";
import { cellCost } from "./shards.ts";

/** How far a sweep is. */
export interface ClockState {
  /** Cells that are done. */
  readonly done: number;
  /** Cells in all. */
  readonly total: number;
  /** Models with cells that are still to be run. */
  readonly modelsLeft: number;
  /** An estimate of the time that is left; nothing before a calibration, or a cell, is done. */
  readonly millisecondsLeft?: number;
}

/**
 * A model is calibrated where it is asked at least so many samples more, as calibration asks some
 * itself; the first where all together are, so that there is an estimate at once.
 */
const CALIBRATED_SAMPLES = 256;
/** The parameters that take as long as what every token takes, however small a model is. */
const SMALL_MODEL = 1e6;
/** What a sample takes besides its tokens, in tokens. */
const SAMPLE_TOKENS = 64;

/** How much of all is run before that counts as much as the calibration. */
const PRIOR = 0.1;

/** A cell that is still to be run. */
interface Left {
  /** Which cells take the same time: those that differ by the seed alone. */
  readonly kind: string;
  /** What it is expected to take: milliseconds after a calibration, something in proportion before. */
  expected: number;
}

/**
 * Counts cells, and estimates the time that is left. A cell takes as long as another that differs by
 * its seed alone, in an earlier run if need be; where none was run yet, what the calibration of its model says, or of another model,
 * in proportion to their sizes; all of it corrected by how long the cells took that were run.
 */
export class Clock {
  readonly #total: number;
  readonly #configuration: SweepConfiguration;
  readonly #grid: readonly ModelCells[];
  readonly #left = new Map<string, Map<string, Left>>();
  readonly #byKind = new Map<string, number>();
  /** The same of earlier runs, perhaps on another machine. */
  readonly #before = new Map<string, number>();
  readonly #lengths = new Set<string>();
  readonly #calibrated = new Set<string>();
  #isCalibrated = false;
  #finished = 0;
  #took = 0;
  #expected = 0;

  /** @param finished The rows of cells that are done already, by {@linkcode cellKey}. */
  constructor(
    grid: readonly ModelCells[],
    configuration: SweepConfiguration,
    finished: ReadonlyMap<string, readonly Row[]>,
  ) {
    this.#grid = grid;
    this.#configuration = configuration;
    this.#total = grid.reduce((sum, { cells }) => sum + cells.length, 0);
    for (const { card, tasks, cells } of grid) {
      const left = new Map<string, Left>();
      for (const cell of cells) {
        const key = cellKey(cell);
        const kind = cellKey({ ...cell, seed: 0 });
        const samples = this.#samplesOf(cell, tasks) + 1; // one more is read before any is timed
        const work = cellCost(card, cell, configuration, tasks.get(taskKey(cell))!);
        const expected = work + SMALL_MODEL * samples * (cell.length + SAMPLE_TOKENS);
        const rows = finished.get(key);
        if (rows === undefined) {
          left.set(key, { kind, expected });
          continue;
        }
        const seconds = rows.at(0)?.seconds;
        if (seconds === undefined) continue; // an older version ran it
        this.#finished++;
        this.#took += 1000 * seconds;
        this.#expected += expected;
        // The first of a length also waited for its kernels.
        this.#before.set(kind, Math.min(1000 * seconds, this.#before.get(kind) ?? Infinity));
      }
      this.#left.set(card.name, left);
    }
  }

  /** Whether a model has so much to do that it should be calibrated first. */
  isWorthCalibrating({ card, tasks, cells }: ModelCells): boolean {
    if (this.#calibrated.has(card.name)) return false;
    const isBlind = !this.#isCalibrated && this.#finished === 0;
    return this.#samplesLeft({ card, tasks, cells }) >= CALIBRATED_SAMPLES ||
      (isBlind &&
        this.#grid.reduce((sum, model) => sum + this.#samplesLeft(model), 0) >= CALIBRATED_SAMPLES);
  }

  /** Takes in what a model takes: what is left of it is known then, and of others about. */
  calibrate(name: string, calibration: Calibration): void {
    this.#calibrated.add(name);
    const own = this.#grid.find(({ card }) => card.name === name)!;
    for (const model of this.#grid) {
      const { card } = model;
      if (card !== own.card && this.#calibrated.has(card.name)) continue;
      const left = this.#left.get(card.name)!;
      const cells = model.cells.filter((cell) => left.has(cellKey(cell)));
      const ratio = (card.parameters + SMALL_MODEL) / (own.card.parameters + SMALL_MODEL);
      for (
        const { cell, milliseconds } of calibration.estimate(
          { ...model, cells },
          this.#configuration,
        )
      ) {
        left.get(cellKey(cell))!.expected = ratio * milliseconds;
      }
    }
    if (this.#isCalibrated) return;
    this.#isCalibrated = true; // what was expected before was in no milliseconds
    const whole = [...this.#left.values()].flatMap((left) => [...left.values()])
      .reduce((sum, { expected }) => sum + expected, 0);
    this.#took = this.#expected = PRIOR * whole;
  }

  /** A cell has ended after so long; where it failed, its time says nothing of others. */
  finish(cell: Cell, seconds: number, failed: boolean): void {
    const key = cellKey(cell);
    const milliseconds = 1000 * seconds;
    const ofModel = this.#left.get(cell.model);
    const left = ofModel?.get(key);
    ofModel?.delete(key);
    if (failed || left === undefined) return;
    const { kind, expected } = left;
    this.#finished++;
    this.#took += milliseconds;
    this.#expected += expected;
    const length = `${cell.model} ${cell.length}`;
    const first = !this.#lengths.has(length);
    this.#lengths.add(length);
    if (!first || !this.#byKind.has(kind)) this.#byKind.set(kind, milliseconds);
  }

  /** Where the sweep stands. */
  state(): ClockState {
    const left = [...this.#left.values()].filter(({ size }) => size > 0);
    const cells = left.flatMap((ofModel) => [...ofModel.values()]);
    return {
      done: this.#total - cells.length,
      total: this.#total,
      modelsLeft: left.length,
      ...(this.#isCalibrated || this.#finished > 0
        ? { millisecondsLeft: this.#estimate(cells) }
        : {}),
    };
  }

  #estimate(cells: readonly Left[]): number {
    const ratio = this.#expected === 0 ? 1 : this.#took / this.#expected;
    return cells.reduce(
      (sum, { kind, expected }) =>
        sum + (this.#byKind.get(kind) ?? this.#before.get(kind) ?? ratio * expected),
      0,
    );
  }

  #samplesLeft({ card, tasks, cells }: ModelCells): number {
    const left = this.#left.get(card.name)!;
    return cells.filter((cell) => left.has(cellKey(cell)))
      .reduce((sum, cell) => sum + this.#samplesOf(cell, tasks), 0);
  }

  #samplesOf(cell: Cell, tasks: ModelCells["tasks"]): number {
    const { metric } = tasks.get(taskKey(cell))!;
    return samplesOf(gridOf(this.#configuration, cell.task), metric, cell.length);
  }
}
