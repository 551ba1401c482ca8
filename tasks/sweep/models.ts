import type { SubjectCard, SubjectSource } from "../subject.ts";
import type { SweepConfiguration } from "./configuration.ts";
import { recipesOf, trainedModels } from "./trainings.ts";

/** Where the models that a sweep trains are, in its results folder. */
export const MODELS = "models";

/** How a sweep's models are found. */
export interface FindModelsOptions {
  /** Where those that it trains are, or go. */
  readonly folder: string;
  /** Whether they are trained when they are opened. @default true */
  readonly train?: boolean;
}

/**
 * The cards of a sweep's models, of those too that it trains first: nothing is trained yet.
 *
 * @throws {Error} where the source cannot train what is to be trained, or there is no such model.
 */
export async function findModels(
  { models, trainings = [] }: Pick<SweepConfiguration, "models" | "trainings">,
  source: Pick<SubjectSource, "find" | "learn">,
  { folder, train = true }: FindModelsOptions,
): Promise<readonly SubjectCard[]> {
  if (trainings.length === 0) return await source.find(models);
  if (source.learn === undefined) {
    throw new Error(
      `Cannot sweep ${trainings[0].recipe.name} as these models are not trained by recipes`,
    );
  }
  source.learn(recipesOf(trainings), { folder, train });
  const trained = trainedModels(trainings).map(({ name }) => name);
  return await source.find(models.length > 0 ? models : trained);
}
