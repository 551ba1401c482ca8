import { join } from "@std/path";
import type { SubjectCard } from "../subject.ts";
import type { Task } from "../task.ts";
import { type Cell, type ModelCells, taskKey } from "./cells.ts";
import { gridOf, samplesOf, type SweepConfiguration } from "./configuration.ts";
import { controlsOf } from "./controls.ts";

/** One of the equal shares that a sweep is run in. */
export interface Shard {
  /** Which, from 0 to `count - 1`. */
  readonly index: number;
  /** How many there are. */
  readonly count: number;
}

/** Where the shards' folders are, in a results folder. */
export const SHARDS = "shards";

/** Bytes of an f32. */
const F32_BYTES = 4;

/**
 * A shard as it is typed, `0/8` to `7/8`.
 *
 * @throws {RangeError} where it is none.
 */
export function parseShard(text: string): Shard {
  const match = /^(\d{1,9})\/(\d{1,9})$/.exec(text);
  const [index, count] = [Number(match?.[1]), Number(match?.[2])];
  if (match && index < count) return { index, count };
  throw new RangeError(
    `Cannot run shard ${text}: of 8 shards the first is 0/8, the last 7/8 (as SLURM_ARRAY_TASK_ID and JOB_COMPLETION_INDEX count)`,
  );
}

/** A shard's own results folder, in that of its sweep. */
export function shardFolder(out: string, { index, count }: Shard): string {
  return join(out, SHARDS, `${index}-of-${count}`);
}

/**
 * A shard's share of the grid. A pure function of both: the shards of one grid hold each cell once.
 * Each is a range of the grid in its order, so that it loads few models, and all are of about equal
 * cost.
 */
export function takeShard(
  grid: readonly ModelCells[],
  configuration: SweepConfiguration,
  { index, count }: Shard,
): ModelCells[] {
  const costs = grid.map(({ card, tasks, cells }) =>
    cells.map((cell) => cellCost(card, cell, configuration, tasks.get(taskKey(cell))!))
  );
  const total = costs.flat().reduce((sum, cost) => sum + cost, 0);
  let before = 0;
  return grid.map((model, m) => ({
    ...model,
    cells: model.cells.filter((_, c) => {
      const middle = before + costs[m][c] / 2;
      before += costs[m][c];
      return Math.min(count - 1, Math.floor(middle / total * count)) === index;
    }),
  })).filter(({ cells }) => cells.length > 0);
}

/**
 * How much work a cell is, in multiplications, as far as is known before it runs: a token passes
 * each weight once, and each number of the state.
 */
export function cellCost(
  { parameters, stateBytes }: SubjectCard,
  { task, length }: Cell,
  configuration: SweepConfiguration,
  of: Pick<Task, "metric" | "controls">,
): number {
  const samples = samplesOf(gridOf(configuration, task), of.metric, length);
  const reading = (length: number): number =>
    length * (parameters + (stateBytes?.(length / 2) ?? 0) / F32_BYTES);
  const control = controlsOf(of, length);
  // One more is read before any is timed.
  return (samples + 1) * reading(length) + samples * control.count * reading(control.length);
}
