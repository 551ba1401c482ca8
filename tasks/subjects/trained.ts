import { join, resolve } from "@std/path";
import { fetchFile } from "../../models/checkpoints/http.ts";
import { BYTE_TOKENIZER, type ModelConfiguration, type Tokenizer } from "../../models/mod.ts";
import { reasonOf } from "../errors.ts";
import { checkTaskName, createTask } from "../registry.ts";
import type { SubjectCard } from "../subject.ts";
import { checkVocabulary } from "../task.ts";
import { tokensTrained } from "../training/batch.ts";
import type { Recipe } from "../training/recipe.ts";
import { parseRecipe } from "../training/recipe_file.ts";
import { describeConfiguration } from "./card.ts";
import type { ModelDescription } from "./description.ts";
import { changed } from "./resolve.ts";
import { findTemplate, MEMORY_TASKS, memoryOptions, WORD_TASKS } from "./words.ts";
import { BASE_TEMPLATE } from "../wording.ts";

const BYTES = BYTE_TOKENIZER.vocabulary;

/** The tokenizer of a model that `./run train` made, where its tokens are bytes. */
export function trainedTokenizer({ vocabulary }: ModelConfiguration): Tokenizer | undefined {
  return vocabulary === BYTES ? BYTE_TOKENIZER : undefined;
}

/**
 * The card of a model that `./run train` made, from the recipe beside it. It knows the tasks of
 * its recipe; where its tokens are bytes, those in words besides.
 *
 * @throws {Error} where the folder holds no such model.
 */
export async function readTrainedCard(
  description: ModelDescription,
  directory: URL | string,
): Promise<SubjectCard> {
  const recipe = parseRecipe(
    await readText(directory, "recipe.json"),
    `the recipe.json of ${directory}`,
  );
  const card = recipeCard(description, recipe, await digest(directory, "model.safetensors"));
  return await withTokens(card, recipe, directory);
}

/**
 * A card with the number of tokens that the model was trained on, where its log is there or its
 * training took all of the recipe's steps.
 */
export async function withTokens(
  card: SubjectCard,
  recipe: Recipe,
  directory: URL | string,
): Promise<SubjectCard> {
  const log = await readBytes(directory, "log.csv").catch(() => undefined);
  if (card.training === undefined) return card;
  const steps = log === undefined ? wholeSteps(recipe) : stepsOf(new TextDecoder().decode(log));
  if (!Number.isInteger(steps)) return card;
  const tasks = await Promise.all(
    recipe.tasks.map(({ name, options }) => createTask(name, options)),
  );
  return { ...card, training: { ...card.training, tokens: tokensTrained(recipe, tasks, steps) } };
}

/** The steps that a log ends with. */
function stepsOf(log: string): number {
  return Number(log.trimEnd().split("\n").at(-1)!.split(",")[0]);
}

/** A recipe's steps, where no training by it ends earlier; NaN otherwise. */
function wholeSteps({ steps, schedule, targetAccuracy }: Recipe): number {
  return schedule === "constant" || targetAccuracy >= 1 ? steps : NaN;
}

/** The card of the model that a recipe makes. */
export function recipeCard(
  description: ModelDescription,
  recipe: Recipe,
  fingerprint: string,
): SubjectCard {
  const { name, trainLength = recipe.length, dtype = "f32" } = description;
  const model = changed(recipe.model, description, trainLength);
  const tokenizer = trainedTokenizer(model);
  const learned = new Set(recipe.tasks.map((task) => task.name as string));
  const known = [...learned.union(new Set(learned.has("text") ? MEMORY_TASKS : []))];
  return {
    ...describeConfiguration(model),
    name,
    description,
    trainLength,
    template: description.template,
    training: { seed: recipe.seed, learningRate: recipe.learningRate },
    tasks: known,
    otherTasks: tokenizer ? WORD_TASKS.filter((task) => !known.includes(task)) : [],
    fingerprint: dtype === "f32" ? fingerprint : `${fingerprint} ${dtype}`,
    task: async (taskName, options = {}, template = BASE_TEMPLATE.name) => {
      // What is remembered of a text is asked of the text that was held out of training.
      const [trained] = [taskName, ...(MEMORY_TASKS.includes(taskName) ? ["text"] : [])]
        .flatMap((name) => recipe.tasks.find((task) => task.name === name) ?? []);
      checkTaskName(taskName);
      const given = { ...memoryOptions(taskName, trainLength), ...options };
      if (trained || !tokenizer) {
        const whole = trained !== undefined && isOtherText(trained.options, options);
        const task = await createTask(taskName, {
          ...trained?.options,
          ...(whole ? { heldOut: 1 } : {}),
          ...given,
        });
        checkVocabulary(task, name, model.vocabulary);
        return task;
      }
      const wording = { tokenizer, template: await findTemplate(name, template, [BASE_TEMPLATE]) };
      return await createTask(taskName, given, wording);
    },
  };
}

/** Whether a text is asked that is not the one that a task was trained on: none of it was seen. */
function isOtherText(trained: object, asked: object): boolean {
  const [seen, file] = [trained, asked].map((options: { file?: unknown }) => options.file);
  if (typeof file !== "string") return false;
  return typeof seen !== "string" || resolve(file) !== resolve(seen);
}

async function readBytes(directory: URL | string, file: string): Promise<ArrayBuffer> {
  if (typeof directory === "string") return (await Deno.readFile(join(directory, file))).buffer;
  return (await fetchFile(new URL(file, directory))).buffer;
}

async function readText(directory: URL | string, file: string): Promise<string> {
  try {
    return new TextDecoder().decode(await readBytes(directory, file));
  } catch (error) {
    throw new Error(
      `Cannot find a model in ${directory} as its ${file} cannot be read: ${reasonOf(error)}`,
      { cause: error },
    );
  }
}

async function digest(directory: URL | string, file: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", await readBytes(directory, file));
  return new Uint8Array(hash, 0, 8).toHex();
}
