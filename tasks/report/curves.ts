import {
  averageEstimates,
  type Estimate,
  poolPerplexities,
  poolProportions,
} from "../statistics.ts";
import type { Row } from "../sweep/rows.ts";

/** A point of a curve: a metric at a length, over all its seeds and depths. */
export interface Point extends Estimate {
  /** Tokens in a sample. */
  readonly length: number;
  /** Samples it is of. */
  readonly samples: number;
}

/** One model's points, by length. */
export interface Curve {
  /** The model's name. */
  readonly model: string;
  /** The points, the shortest length first. */
  readonly points: readonly Point[];
}

/** A task as it is shown: one for each load that it was asked with. */
export interface Panel {
  /** The task's name. */
  readonly task: string;
  /** How much was to be remembered, in tasks that have a load. */
  readonly load?: number;
  /** In words. */
  readonly title: string;
  /** The rows of all its cells and metrics. */
  readonly rows: readonly Row[];
}

/** Splits items by a key, in the order in which keys appear. */
export function groupBy<Item, Key>(
  items: Iterable<Item>,
  keyOf: (item: Item) => Key,
): Map<Key, Item[]> {
  return Map.groupBy(items, keyOf);
}

/** The tasks of a sweep that are scored by a metric, in the order of the CSV. */
export function panels(rows: readonly Row[], metric: string): Panel[] {
  const scored = rows.filter((row) => row.metric === metric);
  const loads = groupBy(scored, ({ task }) => task);
  const keyOf = ({ task, load }: Row): string => JSON.stringify([task, load]);
  const chosen = new Set(scored.map(keyOf));
  return [...groupBy(rows.filter((row) => chosen.has(keyOf(row))), keyOf).values()].map((group) => {
    const [{ task, load }] = group;
    const several = new Set(loads.get(task)!.map((row) => row.load)).size > 1;
    return {
      task,
      ...(load === undefined ? {} : { load }),
      title: several ? `${task}, load ${load}` : task,
      rows: group,
    };
  });
}

/** The curves of a metric, pooled over seeds and depths. */
export function curvesOf(rows: readonly Row[], metric: string): Curve[] {
  const chosen = rows.filter((row) => row.metric === metric);
  return [...groupBy(chosen, ({ model }) => model)].map(([model, ofModel]) => ({
    model,
    points: [...groupBy(ofModel, ({ length }) => length)]
      .map(([length, cells]) => ({ length, ...pool(cells) }))
      .sort((a, b) => a.length - b.length),
  }));
}

/** Several cells' results in one metric as one. */
export function pool(cells: readonly Row[]): Estimate & { readonly samples: number } {
  const samples = cells.reduce((sum, cell) => sum + cell.samples, 0);
  const parts = cells.map(({ value, ci_low, ci_high }) => ({
    value,
    low: ci_low ?? NaN,
    high: ci_high ?? NaN,
  }));
  const [{ metric }] = cells;
  if (metric.startsWith("perplexity")) {
    return { ...poolPerplexities(parts, cells.map((cell) => cell.samples)), samples };
  }
  if (metric.startsWith("accuracy")) return { ...poolProportions(parts), samples };
  const value = parts.reduce((sum, part) => sum + part.value, 0) / parts.length;
  return { value, low: NaN, high: NaN, samples };
}

/** The mean over tasks: who is in it and who is not. */
export interface TaskMean {
  /** The tasks it is over. */
  readonly tasks: readonly string[];
  /** The models that were asked all of them. */
  readonly curves: readonly Curve[];
  /** The models that were not, and so have no comparable mean. */
  readonly leftOut: readonly string[];
}

/** The mean accuracy over all tasks, for the models that were asked all of them at a length. */
export function taskMean(rows: readonly Row[]): TaskMean {
  const tasks = panels(rows, "accuracy");
  const byTask = tasks.map((panel) =>
    new Map(curvesOf(panel.rows, "accuracy").map((curve) => [curve.model, curve.points]))
  );
  const models = [...new Set(byTask.flatMap((curves) => [...curves.keys()]))];
  const complete = models.filter((model) => byTask.every((curves) => curves.has(model)));
  return {
    tasks: tasks.map(({ title }) => title),
    leftOut: models.filter((model) => !complete.includes(model)),
    curves: complete.map((model) => {
      const points = byTask.flatMap((curves) => curves.get(model)!);
      return {
        model,
        points: [...groupBy(points, ({ length }) => length)]
          .filter(([, parts]) => parts.length === tasks.length)
          .map(([length, parts]) => ({
            length,
            ...averageEstimates(parts),
            samples: parts.reduce((sum, part) => sum + part.samples, 0),
          }))
          .sort((a, b) => a.length - b.length),
      };
    }),
  };
}

/** What one row of a model says of all of them. */
export interface ModelSummary {
  /** The model's name. */
  readonly model: string;
  /** Its architecture. */
  readonly family: string;
  /** How many weights it has. */
  readonly parameters: number;
  /** The length that it was trained at. */
  readonly trainLength: number;
}

/** The models of a sweep, in the order of the CSV. */
export function modelsOf(rows: readonly Row[]): ModelSummary[] {
  return [...groupBy(rows, ({ model }) => model)].map(([model, [row]]) => ({
    model,
    family: row.family,
    parameters: row.parameters,
    trainLength: row.train_length,
  }));
}

/** What reading or holding a sequence costs, as columns of the CSV. */
export type Cost = "prefill_ms" | "step_ms" | "peak_bytes" | "state_bytes";

/**
 * A cost against length: the least of a length's cells, since whatever else a machine does can only
 * add to it. For memory, the most.
 */
export function costsOf(
  rows: readonly Row[],
  cost: Cost,
): { readonly model: string; readonly points: { length: number; value: number }[] }[] {
  const best = cost.endsWith("_ms") ? Math.min : Math.max;
  return [...groupBy(rows, ({ model }) => model)].map(([model, ofModel]) => ({
    model,
    points: [...groupBy(ofModel, ({ length }) => length)].flatMap(([length, cells]) => {
      const values = cells.map((cell) => cell[cost]).filter((value) => value !== undefined);
      return values.length === 0 ? [] : [{ length, value: best(...values) }];
    }).sort((a, b) => a.length - b.length),
  }));
}
