import type { SubjectCard } from "../subject.ts";
import type { Recipe } from "../training/recipe.ts";

/** A model that a sweep trains before it asks it: once for each learning rate and each seed. */
export interface Training {
  /** How it is trained; its name is the variant's, its learning rate and seed are those below. */
  readonly recipe: Recipe;
  /**
   * Learning rates that are tried, the results being of the best on other samples than the reported;
   * @default the recipe's alone
   */
  readonly learningRates?: readonly number[];
  /** Seeds of the initial values and of the training data: one seed ranks nothing. */
  readonly seeds: readonly number[];
  /**
   * What is changed once it is trained, each a variant beside the model as it is: `yarn8`,
   * `window64+sinks4`.
   */
  readonly interventions?: readonly string[];
}

/** The seed of the samples by which learning rates are chosen, and which are not reported. */
export const TUNING_SEED: number = 2 ** 32 - 1;

/** One model of a training. */
export interface TrainedModel {
  /** Its name in results and in `--models`: `mqar-gla-lr0.003-s1`, `induction-rope-s2+yarn8`. */
  readonly name: string;
  /** What it is compared as, whatever its seed and its rate: `mqar-gla`, `induction-rope+yarn8`. */
  readonly variant: string;
  /** The name of the recipe that its training has for all seeds and rates: `induction-rope`. */
  readonly training: string;
  /** How it is trained. */
  readonly recipe: Recipe;
}

/** The models of trainings, in their order. */
export function trainedModels(trainings: readonly Training[]): TrainedModel[] {
  return trainings.flatMap(({ recipe, learningRates, seeds, interventions = [] }) => {
    const rates = learningRates ?? [recipe.learningRate];
    return rates.flatMap((learningRate) =>
      seeds.flatMap((seed) => {
        const rate = rates.length > 1 ? `-lr${learningRate}` : "";
        const name = `${recipe.name}${rate}-s${seed}`;
        const one = { ...recipe, name, learningRate, seed };
        return ["", ...interventions.map((change) => `+${change}`)].map((change) => ({
          name: name + change,
          variant: recipe.name + change,
          training: recipe.name,
          recipe: one,
        }));
      })
    );
  });
}

/** What a model is compared as, where it is of these trainings, or its card says of what it is one. */
export function variantOf(
  { name, variant }: Pick<SubjectCard, "name" | "variant">,
  trainings: readonly Training[] = [],
): string | undefined {
  return trainedModels(trainings).find((model) => model.name === name)?.variant ?? variant;
}

/** The names of the models of trainings among which the learning rate is chosen. */
export function tunedModels(trainings: readonly Training[]): ReadonlySet<string> {
  const tuned = trainings.filter(({ learningRates = [] }) => learningRates.length > 1)
    .map((training) => ({ ...training, interventions: [] }));
  return new Set(trainedModels(tuned).map(({ name }) => name));
}

/** The recipes of trainings, each once. */
export function recipesOf(trainings: readonly Training[]): Recipe[] {
  const recipes = trainedModels(trainings).map(({ recipe }) => recipe);
  return [...new Map(recipes.map((recipe) => [recipe.name, recipe])).values()];
}

/**
 * Checks trainings.
 *
 * @throws {RangeError} for a seed or a rate that is not one or is listed twice, and for two models of a name.
 */
export function checkTrainings(trainings: readonly Training[]): void {
  const fail = (reason: string): never => {
    throw new RangeError(`Cannot sweep as ${reason}`);
  };
  for (const { recipe, learningRates = [recipe.learningRate], seeds } of trainings) {
    if (seeds.length === 0) fail(`the training ${recipe.name} must have at least one seed`);
    const seed = seeds.find((seed) => !Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32);
    if (seed !== undefined) fail(`a training seed must be an integer: current seed is ${seed}`);
    const rate = learningRates.find((rate) => !(rate > 0));
    if (rate !== undefined || learningRates.length === 0) {
      fail(`learning rates must be greater than 0: current rates are [${learningRates}]`);
    }
  }
  const names = trainedModels(trainings).map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) fail(`the trained model ${twice} is listed twice`);
}
