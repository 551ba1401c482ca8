import * as v from "valibot";
import { MODEL } from "../../models/configuration.ts";
import {
  check,
  exactly,
  FLAG,
  integer,
  LENGTH,
  listOf,
  NOT_NEGATIVE,
  NUMBER,
  oneOf,
  optional,
  parseJson,
  POSITIVE,
  type Schema,
  TEXT,
} from "../../models/schema.ts";
import { TASK_NAMES, type TaskOptions } from "../registry.ts";
import type { Recipe, RecipeTask, TrainingPoint } from "./recipe.ts";

const COUNT = integer(1, 2 ** 31 - 1);
const COUNT_OR_NONE = integer(0, 2 ** 31 - 1);
const SHARE: Schema<number> = v.pipe(NOT_NEGATIVE, v.maxValue(1, "at most 1"));

/** A task's options: which of them a task has is its own to check. */
const OPTION = v.union([
  integer(0, 2 ** 31 - 1),
  NUMBER,
  TEXT,
  FLAG,
  v.pipe(listOf(integer(0, 2 ** 31 - 1)), v.maxLength(64)),
], "a number, a text, true or false, or a list of up to 64 integers");

const POINT = exactly<TrainingPoint>({
  length: LENGTH,
  load: optional(COUNT),
  weight: optional(POSITIVE),
});

/** What checks a recipe where it comes from a file. */
export const RECIPE: Schema<Recipe> = exactly<Recipe>({
  name: TEXT,
  model: MODEL,
  tasks: v.pipe(
    listOf(exactly<RecipeTask>({
      name: oneOf(TASK_NAMES),
      options: v.record(v.string(), OPTION, "an object") as Schema<TaskOptions[RecipeTask["name"]]>,
    })),
    v.minLength(1, "a list of at least one task"),
  ),
  length: LENGTH,
  points: optional(v.pipe(listOf(POINT), v.minLength(1, "a list of at least one point"))),
  segments: optional(COUNT),
  statePassing: optional(SHARE),
  batch: COUNT,
  learningRate: POSITIVE,
  warmupSteps: COUNT_OR_NONE,
  firstTaskSteps: COUNT_OR_NONE,
  targetAccuracy: NOT_NEGATIVE,
  steps: COUNT,
  schedule: optional(oneOf(["cooldown", "constant"])),
  weightDecay: optional(NOT_NEGATIVE),
  seed: COUNT_OR_NONE,
});

/**
 * The recipe that a file holds, its fields in the file's order.
 *
 * @param source The file's name, for errors.
 * @throws {Error} where it is not valid JSON or not a recipe, with the field and what it must be.
 */
export function parseRecipe(text: string, source: string): Recipe {
  const recipe = parseJson(text, source);
  check(RECIPE, recipe, source);
  return recipe as Recipe;
}
