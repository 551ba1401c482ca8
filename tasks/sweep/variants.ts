import { isTrainedLength, type Row } from "./rows.ts";
import { type TrainedModel, trainedModels, type Training, TUNING_SEED } from "./trainings.ts";

/** The file of a sweep's variants, in its results folder. */
export const VARIANTS = "variants.csv";

/**
 * Chooses the learning rate of each training: that with the best mean over the cells up to the training
 * length (over all, where none is so short), a model that has no result counting 0. The cells are those
 * of {@linkcode TUNING_SEED}, which are not reported; in older results, which have none, all.
 *
 * @returns By the recipe's name.
 */
export function bestRates(
  trainings: readonly Training[],
  rows: readonly Row[],
): ReadonlyMap<string, number> {
  const all = rows.filter(({ metric }) => metric === "accuracy" || metric === "perplexity");
  const tuning = all.filter(({ seed }) => seed === TUNING_SEED);
  return new Map(trainings.map(({ recipe, learningRates = [recipe.learningRate], seeds }) => {
    const every = trainedModels([{ recipe, learningRates, seeds }]);
    const names = new Set(every.map(({ name }) => name));
    const main = tuning.some(({ model }) => names.has(model)) ? tuning : all;
    const meanOf = (learningRate: number): number => {
      const models = every.filter((model) => model.recipe.learningRate === learningRate);
      const means = models.map(({ name }) => {
        const own = main.filter(({ model }) => model === name);
        const near = own.filter(isTrainedLength);
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

/** The trained models that stand for their variants, those at the best learning rates, by their names. */
export function chosenModels(
  trainings: readonly Training[],
  rows: readonly Row[],
): ReadonlyMap<string, TrainedModel> {
  const rates = bestRates(trainings, rows);
  const chosen = trainedModels(trainings).filter(({ training, recipe }) =>
    rates.get(training) === recipe.learningRate
  );
  return new Map(chosen.map((model) => [model.name, model]));
}

/**
 * The rows of a sweep's trained models as rows of its variants, each at its best learning rate: a row's
 * model is the variant, and its `train_seed` tells the trainings of one apart. Rows of other models
 * stay, those by which rates were chosen go. Committed models are trainings of variants too.
 */
export function variantRows(trainings: readonly Training[], rows: readonly Row[]): Row[] {
  const chosen = chosenModels(trainings, rows);
  const trained = new Set(trainedModels(trainings).map(({ name }) => name));
  return rows.filter(({ seed }) => seed !== TUNING_SEED).flatMap((row): Row[] => {
    if (!trained.has(row.model)) return [{ ...row, model: row.variant ?? row.model }];
    const model = chosen.get(row.model);
    if (model === undefined) return [];
    const { seed, learningRate } = model.recipe;
    return [{ ...row, model: model.variant, train_seed: seed, learning_rate: learningRate }];
  });
}
