import {
  type Estimate,
  meanInterval,
  poolPerplexities,
  proportionOverParts,
} from "../statistics.ts";
import { pool } from "../report/curves.ts";
import { round, roundFinite, type Row } from "./rows.ts";
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
 * the mean over training seeds; its interval is of these, or of the samples where that is wider. It pools the samples' seeds, the first of which it tells. Rows of other models stay.
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
      training_seeds: bySeed.size,
      samples: parts.reduce((sum, { samples }) => sum + samples, 0),
      value: round(value),
      ci_low: roundFinite(low),
      ci_high: roundFinite(high),
      ...costs(group),
    };
  });
}

/** The mean over training seeds. */
function overSeeds(parts: readonly Estimate[], metric: string): Estimate {
  const known = parts.every(({ low, high }) => high > low);
  if (known && metric.startsWith("accuracy")) return proportionOverParts(parts);
  if (!known || !metric.startsWith("perplexity")) {
    const { value } = meanInterval(parts.map((part) => part.value));
    return { value, low: NaN, high: NaN };
  }
  const pooled = poolPerplexities(parts, parts.map(() => 1));
  const { low, high } = meanInterval(parts.map((part) => Math.log(part.value)));
  return high - low > Math.log(pooled.high / pooled.low)
    ? { ...pooled, low: Math.exp(low), high: Math.exp(high) }
    : pooled;
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
