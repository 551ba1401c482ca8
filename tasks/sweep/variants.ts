import { type Estimate, meanInterval } from "../statistics.ts";
import { pool } from "../report/curves.ts";
import type { Row } from "./rows.ts";
import { type TrainedModel, trainedModels, type Training } from "./trainings.ts";

/** The file of a sweep's variants, in its results folder. */
export const VARIANTS = "variants.csv";

/** What of a sweep's rows is told apart, but for who answers and with which samples. */
function coordinates({ task, template, length, depth, load, metric }: Row): string {
  return JSON.stringify([task, template, length, depth, load, metric]);
}

/**
 * Chooses the learning rate of each training: that with the best mean over the cells up to the training
 * length (over all, where none is so short), a model that has no result counting 0. It is chosen by the
 * samples that are reported, as is usual; with few of them that flatters.
 *
 * @returns By the recipe's name.
 */
export function bestRates(
  trainings: readonly Training[],
  rows: readonly Row[],
): ReadonlyMap<string, number> {
  const main = rows.filter(({ metric }) => metric === "accuracy" || metric === "perplexity");
  return new Map(trainings.map(({ recipe, learningRates = [recipe.learningRate], seeds }) => {
    const meanOf = (learningRate: number): number => {
      const models = trainedModels([{ recipe, learningRates, seeds }])
        .filter((model) => model.recipe.learningRate === learningRate);
      const means = models.map(({ name }) => {
        const own = main.filter(({ model }) => model === name);
        const near = own.filter(({ length, train_length }) => length <= train_length);
        const values = (near.length > 0 ? near : own)
          .map(({ metric, value }) => metric === "perplexity" ? 1 / value : value);
        return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
      });
      return means.reduce((sum, value) => sum + value, 0) / means.length;
    };
    const best = learningRates.reduce((a, b) => meanOf(b) > meanOf(a) ? b : a);
    return [recipe.name, best] as const;
  }));
}

/**
 * The rows of a sweep's trained models as rows of its variants, each at its best learning rate. A row is
 * the mean over training seeds; its interval is Student's over these, or that of the samples where it is
 * wider. In its column `seed` stands how many training seeds it is of. Rows of other models stay.
 */
export function variantRows(trainings: readonly Training[], rows: readonly Row[]): Row[] {
  const rates = bestRates(trainings, rows);
  const models = new Map(trainedModels(trainings).map((model) => [model.name, model]));
  const isChosen = ({ variant, recipe }: TrainedModel): boolean =>
    [...rates].some(([name, rate]) =>
      (variant === name || variant.startsWith(`${name}+`)) && rate === recipe.learningRate
    );
  const groups = Map.groupBy(
    rows.filter(({ model }) => !models.has(model) || isChosen(models.get(model)!)),
    (row) => `${models.get(row.model)?.variant ?? `${row.model} ${row.seed}`} ${coordinates(row)}`,
  );
  return [...groups.values()].map((group): Row => {
    const [first] = group;
    const model = models.get(first.model);
    if (model === undefined) return first;
    const bySeed = Map.groupBy(group, (row) => models.get(row.model)!.recipe.seed);
    const parts = [...bySeed.values()].map(pool);
    const { value, low, high } = overSeeds(parts, first.metric);
    return {
      ...first,
      model: model.variant,
      seed: bySeed.size,
      samples: parts.reduce((sum, { samples }) => sum + samples, 0),
      value: round(value),
      ci_low: Number.isFinite(low) ? round(low) : undefined,
      ci_high: Number.isFinite(high) ? round(high) : undefined,
      ...costs(group),
    };
  });
}

/** The mean over training seeds. */
function overSeeds(parts: readonly Estimate[], metric: string): Estimate {
  const { value, low, high } = meanInterval(parts.map((part) => part.value));
  const count = parts.length;
  const half = (of: (part: Estimate) => number): number =>
    Math.sqrt(parts.reduce((sum, part) => sum + of(part) ** 2, 0)) / count;
  // The samples' own interval alone says something where all seeds agree, or there is only one.
  const below = half((part) => part.value - part.low);
  const above = half((part) => part.high - part.value);
  const widest = (student: number, samples: number): number =>
    Number.isNaN(student) ? samples : Number.isNaN(samples) ? student : Math.max(student, samples);
  const known = parts.every((part) => !Number.isNaN(part.low));
  if (!known) return { value, low: NaN, high: NaN };
  const most = metric.startsWith("accuracy") ? 1 : Infinity;
  return {
    value,
    low: Math.max(0, value - widest(value - low, below)),
    high: Math.min(most, value + widest(high - value, above)),
  };
}

/** The least time and the most memory of a variant's models. */
function costs(rows: readonly Row[]): Partial<Row> {
  const most = (column: "prefill_ms" | "step_ms" | "peak_bytes", pick: typeof Math.min) => {
    const values = rows.flatMap((row) => row[column] ?? []);
    return values.length === 0 ? undefined : values.reduce((a, b) => pick(a, b));
  };
  return {
    prefill_ms: most("prefill_ms", Math.min),
    step_ms: most("step_ms", Math.min),
    peak_bytes: most("peak_bytes", Math.max),
  };
}

function round(value: number): number {
  return Number(value.toPrecision(6));
}
