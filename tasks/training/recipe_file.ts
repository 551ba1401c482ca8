import { basename } from "@std/path";
import * as v from "valibot";
import { MODEL } from "../../models/configuration.ts";
import {
  check,
  described,
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
import { readNamed } from "../errors.ts";
import { checkOptionNames, isSmall } from "../option_names.ts";
import { smallLayout, TASK_NAMES, type TaskOptions } from "../registry.ts";
import { schemaAddress } from "../schema_address.ts";
import { parseTokens, TOKENS_TEXT } from "../sizes.ts";
import {
  findRecipe,
  type Recipe,
  RECIPE_DEFAULTS,
  RECIPES,
  type RecipeTask,
  type TrainingPoint,
} from "./recipe.ts";

const COUNT_OR_NONE = integer(0, 2 ** 31 - 1);
const SHARE: Schema<number> = v.pipe(NOT_NEGATIVE, v.maxValue(1, "at most 1"));
/** Seed of the samples, or of the initial values. */
export const SEED: Schema<number> = integer(0, 2 ** 32 - 1);

/** A number within limits, also as it is typed: `"4k"`. */
function sized(limits: Schema<number>, expected: string): Schema<number> {
  const typed = v.pipe(
    v.string(),
    v.regex(TOKENS_TEXT, expected),
    v.transform((text) => parseTokens(text) ?? NaN),
    v.number(expected),
  );
  return v.union([limits, typed], expected);
}

/** A number of tokens, also as it is typed: `"4k"`. */
export const TOKENS: Schema<number> = sized(LENGTH, 'tokens, such as 512 or "4k"');
/** How many of something, also as it is typed: `"1k"`. */
export const COUNT: Schema<number> = sized(
  integer(1, 2 ** 31 - 1),
  `a positive integer, at most ${2 ** 31 - 1}, such as 512 or "1k"`,
);

/** An option of a task: which values it takes is the task's own to check. */
export const OPTION: Schema<unknown> = v.union([
  integer(0, 2 ** 31 - 1),
  NUMBER,
  TEXT,
  FLAG,
  v.pipe(listOf(integer(0, 2 ** 31 - 1)), v.maxLength(64)),
], "a number, a text, true or false, or a list of up to 64 integers");

const OPTIONS: Schema<Record<string, unknown>> = v.record(v.string(), OPTION, "an object");

/** A task of a recipe as a file has it: its options may be left out. */
type TaskInFile = Pick<RecipeTask, "name"> & {
  readonly options?: TaskOptions[RecipeTask["name"]];
};

/** A recipe as a file has it: what is usual may be left out. */
type RecipeInFile =
  & Omit<Recipe, keyof typeof RECIPE_DEFAULTS | "name" | "tasks">
  & Partial<Pick<Recipe, keyof typeof RECIPE_DEFAULTS | "name">>
  & { readonly $schema?: string; readonly tasks: readonly TaskInFile[] };

const POINT = exactly<TrainingPoint>({
  length: TOKENS,
  load: optional(COUNT),
  weight: optional(POSITIVE),
});

const usual = (name: keyof typeof RECIPE_DEFAULTS): string =>
  `; ${RECIPE_DEFAULTS[name]} by default`;

/** What checks a recipe where it comes from a file. */
export const RECIPE: Schema<RecipeInFile> = exactly<RecipeInFile>({
  $schema: optional(described(TEXT, "This schema.")),
  name: optional(
    described(TEXT, "Its name, which the model bears too; by default the file's."),
  ),
  model: described(MODEL, "The model: its layers one by one, each with any mixer."),
  tasks: described(
    v.pipe(
      listOf(exactly<TaskInFile>({
        name: oneOf(TASK_NAMES),
        options: optional(
          described(
            OPTIONS as Schema<TaskOptions[RecipeTask["name"]]>,
            "By default those of the small layout that the committed models share, with a vocabulary of 64.",
          ),
        ),
      })),
      v.minLength(1, "a list of at least one task"),
    ),
    "What it learns; each batch holds as many sequences of each.",
  ),
  length: optional(
    described(
      TOKENS,
      `Tokens of a training sequence, every other batch or so having half; with points, the greatest of theirs${
        usual("length")
      }.`,
    ),
  ),
  points: optional(
    described(
      v.pipe(listOf(POINT), v.minLength(1, "a list of at least one point")),
      "A mixture of lengths and loads, of which each step draws one.",
    ),
  ),
  segments: optional(
    described(COUNT, "Truncated back-propagation: read in so many segments; 1 by default."),
  ),
  statePassing: optional(
    described(SHARE, "The share of steps that begin with the last step's state; 0 by default."),
  ),
  batch: optional(described(COUNT, `Sequences per step, over all tasks${usual("batch")}.`)),
  learningRate: optional(
    described(POSITIVE, `Peak learning rate of AdamW${usual("learningRate")}.`),
  ),
  warmupSteps: optional(
    described(COUNT_OR_NONE, `Steps of linear warm-up${usual("warmupSteps")}.`),
  ),
  firstTaskSteps: optional(
    described(
      COUNT_OR_NONE,
      `Steps during which the first task alone is trained on${usual("firstTaskSteps")}.`,
    ),
  ),
  targetAccuracy: optional(
    described(
      NOT_NEGATIVE,
      `The worst task's accuracy at which the rate cools down, 1 for never${
        usual("targetAccuracy")
      }.`,
    ),
  ),
  steps: optional(described(COUNT, `The most steps${usual("steps")}.`)),
  schedule: optional(
    described(
      oneOf(["cooldown", "constant"]),
      "Whether the rate cools down before the end; cooldown by default.",
    ),
  ),
  weightDecay: optional(
    described(NOT_NEGATIVE, "Weight decay of the weights of linear maps; 0.01 by default."),
  ),
  seed: optional(
    described(SEED, `Seed of the initial values and of the data${usual("seed")}.`),
  ),
});

/**
 * The recipe that a file holds.
 *
 * @param source The file's name, for errors.
 * @param name The recipe's name where the file does not give one.
 * @throws {Error} where it is not valid JSON or not a recipe, with the field and what it must be.
 */
export function parseRecipe(text: string, source: string, name?: string): Recipe {
  return wholeRecipe(check(RECIPE, parseJson(text, source), source), source, name);
}

/** A recipe of a file with what it leaves out. @throws {Error} where it has no name. */
export function wholeRecipe(
  { $schema: _, model, ...recipe }: RecipeInFile,
  source: string,
  name?: string,
): Recipe {
  const named = recipe.name ?? name;
  if (named === undefined) throw new Error(`Cannot read ${source}: it must give "name"`);
  const isMixture = recipe.tasks.length > 1;
  const { points } = recipe;
  const length = recipe.length ??
    (points ? Math.max(...points.map((point) => point.length)) : RECIPE_DEFAULTS.length);
  return {
    name: named,
    model,
    ...RECIPE_DEFAULTS,
    ...recipe,
    length,
    tasks: recipe.tasks.map(({ name, options }, i) => {
      if (options !== undefined) {
        checkOptionNames(name, { ...options }, `${source}, "tasks" item ${i}, "options"`);
      }
      return { name, options: options ?? (isSmall(name) ? smallLayout(name, isMixture) : {}) };
    }),
  };
}

/**
 * A recipe by its name or its file.
 *
 * @throws {Error} if there is none of that name, or the file cannot be read or is not a recipe.
 */
export async function readRecipe(name: string): Promise<Recipe> {
  if (RECIPES.has(name) || !/\.json$|[\\/]/.test(name)) return findRecipe(name);
  const text = await readNamed(name, "the recipe", "./run train --list prints those with a name");
  const value = parseJson(text, name);
  if (isSweep(value)) {
    throw new Error(
      `Cannot train ${name} as it is a sweep: ./run sweep ${name} runs it`,
    );
  }
  return wholeRecipe(check(RECIPE, value, name), name, basename(name, ".json"));
}

/** Whether a file's value is a sweep rather than a recipe. */
function isSweep(value: unknown): boolean {
  return typeof value === "object" && value !== null && !("model" in value) &&
    ["models", "lengths", "trainings", "samples"].some((field) => field in value);
}

/** A recipe as its file has it. @param file Where it goes, for the way to its schema. */
export function recipeText(recipe: Recipe, file: string): string {
  return JSON.stringify({ $schema: schemaAddress("recipe", file), ...recipe }, undefined, 2) + "\n";
}
