import {
  boundedMean,
  type Estimate,
  meanInterval,
  poolMeans,
  poolPerplexities,
  poolProportions,
} from "../statistics.ts";
import type { Row } from "../sweep/rows.ts";

/** A metric of one model, over the seeds and depths of its samples, and over its trainings. */
export interface Pooled extends Estimate {
  /** Samples it is of. */
  readonly samples: number;
  /** What each of several trainings has, in the order of their seeds. */
  readonly trainings?: readonly TrainingValue[];
}

/** A metric of one training. */
export interface TrainingValue {
  /** The training's seed. */
  readonly seed: number;
  /** The metric's value. */
  readonly value: number;
}

/** A point of a curve: a metric at a length. */
export interface Point extends Pooled {
  /** Tokens in a sample. */
  readonly length: number;
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

/** The curves of a metric, pooled over seeds, depths and trainings. */
export function curvesOf(rows: readonly Row[], metric: string): Curve[] {
  const chosen = rows.filter((row) => row.metric === metric);
  return [...groupBy(chosen, ({ model }) => model)].map(([model, ofModel]) => ({
    model,
    points: [...groupBy(ofModel, ({ length }) => length)]
      .map(([length, cells]) => ({ length, ...poolTrainings(cells) }))
      .sort((a, b) => a.length - b.length),
  }));
}

/**
 * Several cells' results in one metric as one. Where they are of several trainings it is the mean over
 * these, and its interval speaks of training again; else of the samples alone.
 */
export function poolTrainings(cells: readonly Row[]): Pooled {
  const bySeed = [...groupBy(cells, ({ train_seed }) => train_seed)];
  if (bySeed.length === 1) return pool(cells);
  const parts = bySeed.map(([seed = -1, ofSeed]) => ({ seed, ...pool(ofSeed) }))
    .sort((a, b) => a.seed - b.seed);
  return overTrainings(parts, cells[0].metric);
}

/** The mean of a metric over trainings. */
export function overTrainings(
  parts: readonly (TrainingValue & Estimate & { readonly samples: number })[],
  metric: string,
): Pooled {
  const samples = parts.reduce((sum, part) => sum + part.samples, 0);
  const trainings = parts.map(({ seed, value }) => ({ seed, value }));
  const values = parts.map(({ value }) => value);
  const kind = kindOf(metric);
  if (kind === "proportion") return { ...boundedMean(values), samples, trainings };
  if (metric === "forgetting_curve") { // from −1 to 1
    const { value, low, high } = boundedMean(values.map((value) => (1 + value) / 2));
    const [mean, from, to] = [value, low, high].map((end) => 2 * end - 1);
    return { value: mean, low: from, high: to, samples, trainings };
  }
  if (kind === "difference") return { ...meanInterval(values), samples, trainings };
  if (kind !== "perplexity") {
    return { value: meanInterval(values).value, low: NaN, high: NaN, samples, trainings };
  }
  // Of the trainings, or of their samples where that is wider.
  const pooled = poolPerplexities(parts, parts.map(() => 1));
  const { low, high } = meanInterval(values.map(Math.log));
  const between = high - low > Math.log(pooled.high / pooled.low);
  return {
    ...pooled,
    ...(between ? { low: Math.exp(low), high: Math.exp(high) } : {}),
    samples,
    trainings,
  };
}

/** What kind of number a metric is: how several of them are taken together. */
function kindOf(metric: string): "proportion" | "perplexity" | "difference" | "number" {
  if (metric.startsWith("accuracy") || metric.endsWith("_accuracy")) return "proportion";
  if (metric.startsWith("perplexity") || metric === "long_perplexity") return "perplexity";
  if (metric === "key_tokens") return "proportion";
  return metric === "forgetting_curve" || metric === "context_gain" ? "difference" : "number";
}

/** Several cells' results in one metric as one; its interval is NaN where a cell has none. */
export function pool(cells: readonly Row[]): Estimate & { readonly samples: number } {
  const samples = cells.reduce((sum, cell) => sum + cell.samples, 0);
  const parts = cells.map(({ value, ci_low, ci_high }) => ({
    value,
    low: ci_low ?? NaN,
    high: ci_high ?? NaN,
  }));
  const [{ metric }] = cells;
  const counts = cells.map((cell) => cell.samples);
  const kind = kindOf(metric);
  if (kind === "perplexity") return { ...poolPerplexities(parts, counts), samples };
  if (kind === "difference") return { ...poolMeans(parts, counts), samples };
  const known = parts.every(({ low, high }) => high - low > 0);
  if (kind === "proportion" && known) return { ...poolProportions(parts, counts), samples };
  const value = parts.reduce((sum, part, i) => sum + part.value * counts[i], 0) / samples;
  return { value, low: NaN, high: NaN, samples };
}

/** What guessers score, each value once. */
export function levelsOf(rows: readonly Row[], metric: "chance" | "guess"): number[] {
  return [...new Set(rows.filter((row) => row.metric === metric).map(({ value }) => value))];
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
      return values.length === 0 ? [] : [{ length, value: values.reduce((a, b) => best(a, b)) }];
    }).sort((a, b) => a.length - b.length),
  }));
}
