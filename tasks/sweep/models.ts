import { DownloadError } from "../../models/mod.ts";
import { messageOf } from "../errors.ts";
import type { SubjectCard, SubjectSource } from "../subject.ts";
import { type AskedModel, nameOf } from "../subjects/description.ts";
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
  /** Called with a model that the sweep continues without, and why it cannot be found. */
  readonly onLeftOut?: (name: string, reason: string) => void;
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
  { folder, train = true, weights = true, onLeftOut = () => {} }: FindModelsOptions,
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
  const options = {
    recipes: recipesOf(trainings),
    folder,
    train,
    weights,
    settings,
    ...(checkpoints === undefined ? {} : { checkpoints }),
  };
  const asked = models.length > 0 ? models : trained;
  if (!asked.some(isOptional)) return await source.find(asked, options);
  const cards: SubjectCard[] = [];
  for (const model of asked) {
    try {
      cards.push(...await source.find([model], options));
    } catch (error) {
      if (!isOptional(model) || !isMissing(error)) throw error;
      onLeftOut(nameOf(model), messageOf(error));
    }
  }
  if (cards.length > 0) return cards;
  throw new Error("Cannot sweep as none of the models can be found");
}

/** Whether the hub has no such model: to who is not known there, it says that they may not see it. */
function isMissing(error: unknown): boolean {
  return error instanceof DownloadError && (error.status === 404 || error.status === 401);
}

function isOptional(asked: AskedModel): boolean {
  return typeof asked === "object" && asked.optional === true;
}
