import { join } from "@std/path";
import { didYouMean } from "../../models/did_you_mean.ts";
import { intervene, isHubModel, type ModelConfiguration, parseHubModel } from "../../models/mod.ts";
import { ZOO } from "../../models/zoo/mod.ts";
import { canonical } from "../canonical.ts";
import type { FindOptions } from "../subject.ts";
import { type Recipe, RECIPES } from "../training/recipe.ts";
import { readRecipe } from "../training/recipe_file.ts";
import {
  type AskedModel,
  type ModelDescription,
  type ModelEntry,
  type ModelOrigin,
  type ModelSettings,
  nameOf,
} from "./description.ts";
import { knownCheckpoint } from "./known.ts";

/** Files that hold weights. */
const WEIGHT_FILES = /\.(safetensors|bin|pth|pt)$/;
/** What a model may be, for errors. */
const KINDS =
  "the path of a folder that holds what ./run train wrote, or a published checkpoint with its config.json; a file of weights or a recipe; or hf:owner/name";

/**
 * Says what a model is that is asked for, and how it is opened: the one place where its name is taken
 * apart, and looked for on the disk.
 *
 * @throws {Error} where there is no such model.
 */
export async function resolveModel(
  asked: AskedModel,
  options: FindOptions = {},
): Promise<ModelDescription> {
  const entry: ModelEntry = typeof asked === "string" ? { model: asked } : asked;
  const { origin, changes } = await findOrigin(entry.model, options);
  const name = nameOf(asked);
  const isPublished = origin.kind === "published";
  if (entry.tokenizer !== undefined && !isPublished) {
    throw new Error(
      `Cannot ask ${name} with the tokenizer ${entry.tokenizer} as it was trained here, on bytes or on its tasks' own tokens: leave the tokenizer out`,
    );
  }
  const { tokenizer, ...shared } = options.settings ?? {};
  const settings = { ...shared, ...(isPublished ? { tokenizer } : {}), ...entry };
  return { name, changes, ...origin, ...settingsOf(settings) };
}

/**
 * Checks that recipes that are trained into one folder are one recipe.
 *
 * @throws {Error} where two are not.
 */
export function checkFolders(descriptions: readonly ModelDescription[]): void {
  const recipes = new Map<string, string>();
  for (const description of descriptions) {
    if (description.kind !== "recipe") continue;
    const { folder, recipe } = description;
    const text = canonical(recipe);
    if ((recipes.get(folder) ?? text) !== text) {
      throw new Error(
        `Cannot train two recipes that are called ${recipe.name} into ${folder}: give one of them another "name"`,
      );
    }
    recipes.set(folder, text);
  }
}

/** Those settings that are given. */
function settingsOf({ template, tokenizer, trainLength, dtype }: ModelSettings): ModelSettings {
  return {
    ...(template === undefined ? {} : { template }),
    ...(tokenizer === undefined ? {} : { tokenizer }),
    ...(trainLength === undefined ? {} : { trainLength }),
    ...(dtype === undefined ? {} : { dtype }),
  };
}

/** How a name can be read: what it names, and the changes behind it. */
export interface Reading {
  /** A path, a name, or `hf:owner/name`. */
  readonly model: string;
  /** Interventions, in their order. */
  readonly changes: readonly string[];
}

/** How a name can be read. A path may hold a plus of its own: the longest comes first. */
export function readingsOf(text: string): Reading[] {
  const parts = text.split("+");
  return parts.map((_, i) => ({
    model: parts.slice(0, parts.length - i).join("+"),
    changes: parts.slice(parts.length - i),
  }));
}

/** What a model comes from, and what is changed in it. */
async function findOrigin(
  text: string,
  options: FindOptions,
): Promise<{ origin: ModelOrigin; changes: readonly string[] }> {
  const readings = readingsOf(text);
  const { model, changes } = readings.at(-1)!;
  if (isHubModel(text)) return { origin: await hubOrigin(model, options), changes };
  for (const { model, changes } of readings) {
    if (changes.length === readings.length - 1 && isNamed(model, options)) break;
    const origin = await originOf(model, options);
    if (origin !== undefined) return { origin, changes };
  }
  return { origin: namedOrigin(model, options), changes };
}

/** A checkpoint that is named as on the hub: in the folder of checkpoints, or there. */
async function hubOrigin(model: string, { checkpoints }: FindOptions): Promise<ModelOrigin> {
  const hub = parseHubModel(model);
  if (checkpoints !== undefined) {
    if (!await Deno.stat(checkpoints).then(({ isDirectory }) => isDirectory, () => false)) {
      throw new Error(
        `Cannot look for ${model} in ${checkpoints} as there is no such folder: --checkpoints names one that holds checkpoints`,
      );
    }
    const inside = hub.file === undefined ? [] : [hub.file];
    const names = hub.repository.split("/");
    for (const folder of [names, names.slice(1)]) {
      const place = join(checkpoints, ...folder, ...inside);
      if (await Deno.stat(place).then(() => true, () => false)) return published(place, model);
    }
  }
  return { ...published(model), hub };
}

function isNamed(name: string, { recipes = [] }: FindOptions): boolean {
  return ZOO.includes(name) || recipes.some((recipe) => recipe.name === name);
}

/** What is at a path; undefined where there is nothing. */
async function originOf(
  path: string,
  options: FindOptions,
): Promise<ModelOrigin | undefined> {
  const info = await Deno.stat(path).catch(() => undefined);
  if (info === undefined) return undefined;
  if (info.isFile) {
    if (path.endsWith(".json")) {
      return recipeOrigin(await readRecipe(path), options);
    }
    if (WEIGHT_FILES.test(path)) return published(path);
    throw new Error(
      `Cannot find a model in ${path}: a file of weights ends in .safetensors, .bin, .pth or .pt, a recipe in .json`,
    );
  }
  const files = await Array.fromAsync(Deno.readDir(path), ({ name }) => name);
  if (files.includes("recipe.json")) {
    if (files.includes("model.safetensors")) return { kind: "trained", folder: path };
    throw new Error(
      `Cannot find a model in ${path} as its training has not come to an end: continue with ./run train and --resume`,
    );
  }
  if (files.some((file) => file === "config.json" || WEIGHT_FILES.test(file))) {
    return published(path);
  }
  throw new Error(
    `Cannot find a model in ${path} as it holds no recipe.json, no config.json and no file of weights; a model is ${KINDS}`,
  );
}

/** What has a name, where it is not a path. */
function namedOrigin(model: string, options: FindOptions): ModelOrigin {
  const { recipes = [] } = options;
  const learned = recipes.find(({ name }) => name === model);
  if (learned !== undefined) return recipeOrigin(learned, options);
  if (ZOO.includes(model)) return { kind: "committed", model };
  const recipe = RECIPES.get(model);
  if (recipe !== undefined) return recipeOrigin(recipe, options);
  if (isPath(model)) {
    const hint = /^\w[\w.-]*\/[\w.-]+$/.test(model) ? `: on the hub it would be hf:${model}` : "";
    throw new Error(
      `Cannot find a model in ${model} as there is no such file or folder${hint}; a model is a name that ./run sweep --help lists, ${KINDS}`,
    );
  }
  const known = [...recipes.map(({ name }) => name), ...ZOO, ...RECIPES.keys()];
  throw new RangeError(
    didYouMean("model", model, known, "./run sweep --help says what a model may be"),
  );
}

function isPath(name: string): boolean {
  return /[\\/]/.test(name) || name.endsWith(".json") || WEIGHT_FILES.test(name);
}

function published(place: string, name = place): ModelOrigin & { readonly kind: "published" } {
  const known = knownCheckpoint(name);
  return { kind: "published", place, ...(known === undefined ? {} : { known }) };
}

function recipeOrigin(
  recipe: Recipe,
  { folder = join("results", "train"), train = true }: FindOptions,
): ModelOrigin {
  return { kind: "recipe", recipe, folder: join(folder, recipe.name), train };
}

/**
 * A model's configuration with what its description changes.
 *
 * @throws {RangeError} for an unknown intervention, or one that does not fit the model.
 */
export function changed(
  configuration: ModelConfiguration,
  { changes }: Pick<ModelDescription, "changes">,
  trainLength: number | undefined,
): ModelConfiguration {
  return changes.length === 0 ? configuration : intervene(configuration, changes, { trainLength });
}
