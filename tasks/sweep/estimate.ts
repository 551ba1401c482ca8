import { freeMemory } from "../../kernels/gpu/open.ts";
import type { SubjectSource } from "../subject.ts";
import { calibrate, type CellEstimate } from "./calibration.ts";
import { type ModelCells, taskKey } from "./cells.ts";
import { gridOf, samplesOf, type SweepConfiguration } from "./configuration.ts";
import { whyNoRoom } from "./room.ts";

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
 * is what makes attention quadratic. Cells that do not fit into memory are named by their length alone:
 * no sample of theirs is made.
 *
 * @throws {Error} where there is no adapter, or a model cannot be loaded.
 */
export async function estimateSweep(
  grid: readonly ModelCells[],
  configuration: SweepConfiguration,
  source: SubjectSource,
): Promise<SweepEstimate> {
  const adapter = await source.adapter();
  const free = freeMemory();
  const cells: CellEstimate[] = [];
  for (const model of grid) {
    const started = performance.now();
    const subject = await source.open(model.card);
    const opening = performance.now() - started;
    try {
      const calibration = await calibrate(subject, model, configuration);
      for (const estimate of calibration.estimate(model, configuration, opening)) {
        const { task: name, length } = estimate.cell;
        const task = model.tasks.get(taskKey(estimate.cell))!;
        const count = samplesOf(gridOf(configuration, name), task.metric, length);
        const noRoom = whyNoRoom(subject, task, { count, length, free });
        // Such a cell is refused at once.
        cells.push(noRoom === undefined ? estimate : { ...estimate, milliseconds: 0, noRoom });
      }
    } finally {
      await subject[Symbol.asyncDispose]();
    }
  }
  return { adapter, cells };
}
