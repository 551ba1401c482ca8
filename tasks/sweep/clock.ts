import type { Calibration } from "./calibration.ts";
import { type Cell, cellKey, type ModelCells, taskKey } from "./cells.ts";
import { gridOf, samplesOf, type SweepConfiguration } from "./configuration.ts";
import { cellCost } from "./shards.ts";

/** How far a sweep is. */
export interface ClockState {
  /** Cells that are done. */
  readonly done: number;
  /** Cells in all. */
  readonly total: number;
  /** Models with cells that are still to be run. */
  readonly modelsLeft: number;
  /** An estimate of the time that is left; nothing before a calibration, or some cells, are done. */
  readonly millisecondsLeft?: number;
}

/** Cells after which there is an estimate without a calibration. */
const FEWEST = 4;
/** A model is calibrated where it is asked at least so many samples more: it asks some itself. */
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
 * its seed alone; where none was run yet, what the calibration of its model says, or of another model,
 * in proportion to their sizes; all of it corrected by how long the cells took that were run.
 */
export class Clock {
  readonly #total: number;
  readonly #configuration: SweepConfiguration;
  readonly #grid: readonly ModelCells[];
  readonly #left = new Map<string, Map<string, Left>>();
  readonly #byKind = new Map<string, number>();
  readonly #lengths = new Set<string>();
  readonly #calibrated = new Set<string>();
  #isCalibrated = false;
  #finished = 0;
  #took = 0;
  #expected = 0;
  #started = performance.now();

  /** @param finished Cells that are done already, by {@linkcode cellKey}. */
  constructor(
    grid: readonly ModelCells[],
    configuration: SweepConfiguration,
    finished: ReadonlyMap<string, unknown>,
  ) {
    this.#grid = grid;
    this.#configuration = configuration;
    this.#total = grid.reduce((sum, { cells }) => sum + cells.length, 0);
    for (const { card, tasks, cells } of grid) {
      const left = new Map<string, Left>();
      for (const cell of cells) {
        const key = cellKey(cell);
        if (finished.has(key)) continue;
        const samples = this.#samplesOf(cell, tasks) + 1; // one more is read before any is timed
        const work = cellCost(card, cell, configuration, tasks.get(taskKey(cell))!);
        const expected = work + SMALL_MODEL * samples * (cell.length + SAMPLE_TOKENS);
        left.set(key, { kind: cellKey({ ...cell, seed: 0 }), expected });
      }
      this.#left.set(card.name, left);
    }
  }

  /** Whether a model has so much to do that it should be calibrated first. */
  isWorthCalibrating({ card, tasks, cells }: ModelCells): boolean {
    if (this.#calibrated.has(card.name)) return false;
    const left = this.#left.get(card.name)!;
    const samples = cells.filter((cell) => left.has(cellKey(cell)))
      .reduce((sum, cell) => sum + this.#samplesOf(cell, tasks), 0);
    return samples >= CALIBRATED_SAMPLES;
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

  /** A cell begins. */
  start(): void {
    this.#started = performance.now();
  }

  /** A cell has ended; where it failed, its time says nothing of others. */
  finish(cell: Cell, failed: boolean): void {
    const key = cellKey(cell);
    const milliseconds = performance.now() - this.#started;
    this.start();
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
      ...(this.#isCalibrated || this.#finished >= FEWEST
        ? { millisecondsLeft: this.#estimate(cells) }
        : {}),
    };
  }

  #estimate(cells: readonly Left[]): number {
    const ratio = this.#expected === 0 ? 1 : this.#took / this.#expected;
    return cells.reduce(
      (sum, { kind, expected }) => sum + (this.#byKind.get(kind) ?? ratio * expected),
      0,
    );
  }

  #samplesOf(cell: Cell, tasks: ModelCells["tasks"]): number {
    const { metric } = tasks.get(taskKey(cell))!;
    return samplesOf(gridOf(this.#configuration, cell.task), metric, cell.length);
  }
}
