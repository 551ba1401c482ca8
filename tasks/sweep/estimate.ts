import type { SubjectSource } from "../subject.ts";
import { calibrate, type CellEstimate } from "./calibration.ts";
import type { ModelCells } from "./cells.ts";
import type { SweepConfiguration } from "./configuration.ts";

export type { CellEstimate } from "./calibration.ts";

/** What a sweep is expected to cost. */
export interface SweepEstimate {
  /** What it would run on. */
  readonly adapter: string;
  /** Its cells, in the order of the grid. */
  readonly cells: readonly CellEstimate[];
}

/**
 * Estimates time and memory of a grid from a short calibration: each model reads a few samples of each
 * kind of question, alone and in a batch, at lengths that grow as long as that is quick. How cost continues to grow
 * is known: with the calls, the samples, the tokens, and with the state that each token meets, which
 * is what makes attention quadratic.
 *
 * @throws {Error} where there is no adapter, or a model cannot be loaded.
 */
export async function estimateSweep(
  grid: readonly ModelCells[],
  configuration: SweepConfiguration,
  source: SubjectSource,
): Promise<SweepEstimate> {
  const adapter = await source.adapter();
  const cells: CellEstimate[] = [];
  for (const model of grid) {
    const started = performance.now();
    const subject = await source.open(model.card);
    const opening = performance.now() - started;
    try {
      const calibration = await calibrate(subject, model, configuration);
      cells.push(...calibration.estimate(model, configuration, opening));
    } finally {
      await subject[Symbol.asyncDispose]();
    }
  }
  return { adapter, cells };
}
