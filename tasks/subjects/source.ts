import { type Gpu, openGpu } from "../../kernels/gpu/mod.ts";
import { checkDescribed, loadModel, Model, type ModelConfiguration } from "../../models/mod.ts";
import { COMMITTED_MODELS, ZOO, zooDirectory } from "../../models/zoo/mod.ts";
import type { FindOptions, Subject, SubjectCard, SubjectSource } from "../subject.ts";
import { hashOf } from "../sweep/configuration.ts";
import { isFinished, trainOnce } from "../training/once.ts";
import type { Recipe } from "../training/recipe.ts";
import type { TrainingProgress } from "../training/train.ts";
import type { AskedModel, ModelDescription, ModelSettings } from "./description.ts";
import { ModelSubject } from "./model_subject.ts";
import {
  findPublished,
  type PublishedCheckpoint,
  type PublishedDescription,
  type PublishedOptions,
} from "./published.ts";
import { changed, checkFolders, resolveModel } from "./resolve.ts";
import { readTuning } from "../tuning/file.ts";
import { readTrainedCard, recipeCard, trainedTokenizer, withTokens } from "./trained.ts";

/** How models are found and loaded. */
export interface ModelSourceOptions
  extends PublishedOptions, Pick<ModelSettings, "tokenizer" | "dtype"> {
  /** Bytes of GPU memory that may be used. */
  readonly memory?: number;
  /** Called now and then while a model is trained. */
  readonly onTraining?: (recipe: Recipe, progress: TrainingProgress) => void;
}

/**
 * The committed models by name, a folder that `./run train` wrote by its path, a published
 * checkpoint by its path or as `hf:owner/name`, and recipes, by name or file, whose models are trained
 * when they are opened; each also with interventions behind it: `transformer-mixture+yarn8`. They share
 * one GPU, which opens with the first.
 */
export class ModelSource implements SubjectSource, AsyncDisposable {
  readonly trains = true;
  readonly #options: ModelSourceOptions;
  readonly #published = new WeakMap<ModelDescription, Promise<PublishedCheckpoint>>();
  readonly #shared: Gpu | undefined;
  #gpu: Promise<Gpu> | undefined;

  /** A source whose GPU is not open yet, or one that uses a GPU of the caller's. */
  constructor(options: ModelSourceOptions = {}, gpu?: Gpu) {
    this.#options = options;
    this.#shared = gpu;
  }

  /** The GPU, which is opened where it is not. */
  gpu(): Promise<Gpu> {
    if (this.#shared) return Promise.resolve(this.#shared);
    return this.#gpu ??= openGpu({ memory: this.#options.memory, tuning: readTuning });
  }

  /** The adapter's name. */
  async adapter(): Promise<string> {
    return (await this.gpu()).adapter.name;
  }

  /** The cards of models; of all committed ones where `models` is empty. */
  async find(
    models: readonly AskedModel[],
    options: FindOptions = {},
  ): Promise<readonly SubjectCard[]> {
    const { tokenizer, dtype } = this.#options;
    const settings = { tokenizer, dtype, ...options.settings };
    const descriptions: ModelDescription[] = [];
    for (const asked of models.length === 0 ? ZOO : models) {
      descriptions.push(await resolveModel(asked, { ...options, settings }));
    }
    checkFolders(descriptions);
    const cards: SubjectCard[] = [];
    for (const description of descriptions) cards.push(await this.describe(description, options));
    return cards.map((card) => isOfVariant(card, cards) ? card : { ...card, variant: undefined });
  }

  /** What a sweep must know of a model; of one on the hub, its files are downloaded for that. */
  async describe(
    description: ModelDescription,
    { weights }: Pick<FindOptions, "weights"> = {},
  ): Promise<SubjectCard> {
    switch (description.kind) {
      case "published":
        return (await this.#findPublished(description, weights)).card;
      case "recipe":
        // Training is a function of the recipe: what it made need not be there to be told apart.
        return recipeCard(description, description.recipe, await hashOf(description.recipe));
      case "trained":
        return await readTrainedCard(description, placeOf(description));
      case "committed":
        return {
          ...await readTrainedCard(description, placeOf(description)),
          variant: committedVariant(description),
        };
    }
  }

  /** Loads a model. */
  async open(
    card: SubjectCard,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Subject & AsyncDisposable> {
    return await this.load(card, options);
  }

  /** Loads a model. @throws {Error} where its card is of another source. */
  async load(
    card: SubjectCard,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<ModelSubject> {
    const { description } = card;
    if (description === undefined) {
      throw new Error(`Cannot open ${card.name} as its card does not say where it is`);
    }
    const gpu = await this.gpu();
    const { dtype } = description;
    const configure = (configuration: ModelConfiguration): ModelConfiguration =>
      changed(configuration, description, card.trainLength);
    switch (description.kind) {
      case "published": {
        const { path, tokenizer, stopTokens } = await this.#findPublished(description);
        const model = await loadModel(gpu, path, { dtype, configure });
        return new ModelSubject(card, model, tokenizer, stopTokens);
      }
      case "recipe": {
        const { recipe, folder, train } = description;
        if (!train && !await isFinished(folder)) {
          const model = new Model(gpu, configure(recipe.model), { seed: recipe.seed });
          return new ModelSubject(card, model, trainedTokenizer(model.configuration));
        }
        const { onTraining } = this.#options;
        await trainOnce(gpu, recipe, folder, (progress) => onTraining?.(recipe, progress), signal);
        const model = await loadModel(gpu, folder, { dtype, configure });
        const trained = await withTokens(card, recipe, folder);
        return new ModelSubject(trained, model, trainedTokenizer(model.configuration));
      }
      case "trained":
      case "committed": {
        const model = await loadModel(gpu, placeOf(description), { dtype, configure });
        return new ModelSubject(card, model, trainedTokenizer(model.configuration));
      }
    }
  }

  /** Closes the GPU, where one was opened. */
  async [Symbol.asyncDispose](): Promise<void> {
    const gpu = await this.#gpu?.catch(() => undefined); // whoever asked for it has the error
    await gpu?.[Symbol.asyncDispose]();
  }

  #findPublished(
    description: PublishedDescription,
    weights?: boolean,
  ): Promise<PublishedCheckpoint> {
    let found = this.#published.get(description);
    if (found === undefined) {
      const { place, dtype } = description;
      const onDescribed = async (folder: string): Promise<void> =>
        await checkDescribed(await this.gpu(), folder, { name: place, dtype });
      found = findPublished(description, { onDescribed, ...this.#options, weights });
      this.#published.set(description, found);
    }
    return found;
  }
}

/** Whether what a model is compared as is not the name of another architecture, size or form. */
function isOfVariant({ variant, ...card }: SubjectCard, cards: readonly SubjectCard[]): boolean {
  const own = cards.find(({ name }) => name === variant);
  return own === undefined || (own.family === card.family && own.parameters === card.parameters &&
    own.description?.dtype === card.description?.dtype &&
    own.fingerprint !== card.fingerprint);
}

/**
 * What a committed model is compared as: the recipe that it is a training by, with the changes behind
 * it; undefined where it bears that name itself, or one that was given to it.
 */
function committedVariant(
  { name, model }: ModelDescription & { readonly kind: "committed" },
): string | undefined {
  const recipe = COMMITTED_MODELS.find((committed) => committed.name === model)?.recipe;
  return recipe === undefined || recipe === model || !name.startsWith(model)
    ? undefined
    : recipe + name.slice(model.length);
}

/** Where a model is that was trained here. */
function placeOf(
  description: ModelDescription & { readonly kind: "trained" | "committed" },
): URL | string {
  return description.kind === "committed" ? zooDirectory(description.model) : description.folder;
}
