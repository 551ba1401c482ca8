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
  /** Whether the weights of those on the hub are downloaded. @default true */
  readonly weights?: boolean;
}

/**
 * The cards of a sweep's models, of those too that it trains first: nothing is trained yet.
 *
 * @throws {Error} where the source cannot train what is to be trained, or there is no such model.
 */
export async function findModels(
  { models, trainings = [], trainLength, tokenizer, dtype, checkpoints }: Pick<
    SweepConfiguration,
    "models" | "trainings" | "trainLength" | "tokenizer" | "dtype" | "checkpoints"
  >,
  source: Pick<SubjectSource, "find" | "trains">,
  { folder, train = true, weights = true }: FindModelsOptions,
): Promise<readonly SubjectCard[]> {
  if (trainings.length > 0 && !source.trains) {
    throw new Error(
      `Cannot sweep ${trainings[0].recipe.name} as these models are not trained by recipes`,
    );
  }
  const settings = {
    ...(trainLength === undefined ? {} : { trainLength }),
    ...(tokenizer === undefined ? {} : { tokenizer }),
    ...(dtype === undefined ? {} : { dtype }),
  };
  const trained = trainedModels(trainings).map(({ name }) => name);
  return await source.find(models.length > 0 ? models : trained, {
    recipes: recipesOf(trainings),
    folder,
    train,
    weights,
    settings,
    ...(checkpoints === undefined ? {} : { checkpoints }),
  });
}
