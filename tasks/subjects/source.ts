import { join } from "@std/path";
import { type Gpu, openGpu } from "../../kernels/gpu/mod.ts";
import {
  checkDescribed,
  isHubModel,
  loadModel,
  Model,
  type ModelConfiguration,
} from "../../models/mod.ts";
import { ZOO, zooDirectory } from "../../models/zoo/mod.ts";
import type { Subject, SubjectCard, SubjectSource } from "../subject.ts";
import { ModelSubject } from "./model_subject.ts";
import { changed, type ModelName, parseName } from "./name.ts";
import { findPublished, type PublishedCheckpoint, type PublishedOptions } from "./published.ts";
import { readTrainedCard, recipeCard, trainedTokenizer, withTokens } from "./trained.ts";
import { hashOf } from "../sweep/configuration.ts";
import { isFinished, trainOnce } from "../training/once.ts";
import type { Recipe } from "../training/recipe.ts";
import type { TrainingProgress } from "../training/train.ts";

/** How models are found and loaded. */
export interface ModelSourceOptions extends PublishedOptions {
  /** How the weights of published checkpoints are kept on the GPU. @default f32 */
  readonly dtype?: "f32" | "f16";
  /** Bytes of GPU memory that may be used. */
  readonly memory?: number;
  /** Called now and then while a model is trained. */
  readonly onTraining?: (recipe: Recipe, progress: TrainingProgress) => void;
}

/** A model that is trained when it is opened first. */
interface Learned {
  readonly recipe: Recipe;
  /** Its own folder. */
  readonly folder: string;
  readonly train: boolean;
}

/**
 * The committed models by name, a folder that `deno task train` wrote by its path, a published
 * checkpoint by its path or as `hf:owner/name`; each also with interventions behind it:
 * `transformer-mixture+yarn8`; and the models of recipes that it has learned, which are trained when
 * they are opened. They share one GPU, which opens with the first.
 */
export class ModelSource implements SubjectSource, AsyncDisposable {
  readonly #options: ModelSourceOptions;
  readonly #published = new Map<string, Promise<PublishedCheckpoint>>();
  readonly #learned = new Map<string, Learned>();
  #gpu: Promise<Gpu> | undefined;

  /** A source whose GPU is not open yet. */
  constructor(options: ModelSourceOptions = {}) {
    this.#options = options;
  }

  /** The GPU, which is opened where it is not. */
  gpu(): Promise<Gpu> {
    return this.#gpu ??= openGpu({ memory: this.#options.memory });
  }

  /** The adapter's name. */
  async adapter(): Promise<string> {
    return (await this.gpu()).adapter.name;
  }

  /** Takes recipes in, by whose names models are found from now on. */
  learn(recipes: readonly Recipe[], { folder, train }: { folder: string; train: boolean }): void {
    for (const recipe of recipes) {
      this.#learned.set(recipe.name, { recipe, folder: join(folder, recipe.name), train });
    }
  }

  /** The cards of the named models; of all committed ones where `names` is empty. */
  async find(names: readonly string[]): Promise<readonly SubjectCard[]> {
    const cards: SubjectCard[] = [];
    for (const name of names.length === 0 ? ZOO : names) {
      const asked = await parseName(name);
      const learned = this.#learned.get(asked.model);
      cards.push(
        learned !== undefined
          // Training is a function of the recipe: what it made need not be there to be told apart.
          ? recipeCard(asked, learned.recipe, await hashOf(learned.recipe))
          : await isPublished(asked.model)
          ? (await this.#findPublished(asked)).card
          : await readTrainedCard(asked, directoryOf(asked.model)),
      );
    }
    return cards;
  }

  /** Loads a model. */
  async open(
    card: SubjectCard,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Subject & AsyncDisposable> {
    return await this.load(card, options);
  }

  /** Loads a model. */
  async load(
    card: SubjectCard,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<ModelSubject> {
    const gpu = await this.gpu();
    const asked = await parseName(card.name);
    const configure = (configuration: ModelConfiguration): ModelConfiguration =>
      changed(configuration, asked, card.trainLength);
    const learned = this.#learned.get(asked.model);
    if (learned !== undefined) {
      const model = await this.#loadLearned(learned, configure, signal);
      const { recipe, folder } = learned;
      const trained = await withTokens(card, recipe, folder);
      return new ModelSubject(trained, model, trainedTokenizer(model.configuration));
    }
    if (await isPublished(asked.model)) {
      const { path, tokenizer, stopTokens } = await this.#findPublished(asked);
      const { dtype } = this.#options;
      const model = await loadModel(gpu, path, { dtype, configure });
      return new ModelSubject(card, model, tokenizer, stopTokens);
    }
    const model = await loadModel(gpu, directoryOf(asked.model), { configure });
    return new ModelSubject(card, model, trainedTokenizer(model.configuration));
  }

  /** Closes the GPU, where one was opened. */
  async [Symbol.asyncDispose](): Promise<void> {
    const gpu = await this.#gpu?.catch(() => undefined); // whoever asked for it has the error
    await gpu?.[Symbol.asyncDispose]();
  }

  async #loadLearned(
    { recipe, folder, train }: Learned,
    configure: (configuration: ModelConfiguration) => ModelConfiguration,
    signal: AbortSignal | undefined,
  ): Promise<Model> {
    const gpu = await this.gpu();
    if (!train && !await isFinished(folder)) {
      return new Model(gpu, configure(recipe.model), { seed: recipe.seed });
    }
    await trainOnce(
      gpu,
      recipe,
      folder,
      (progress) => this.#options.onTraining?.(recipe, progress),
      signal,
    );
    return await loadModel(gpu, folder, { configure });
  }

  #findPublished(asked: ModelName): Promise<PublishedCheckpoint> {
    const { name } = asked;
    if (!this.#published.has(name)) {
      const { dtype } = this.#options;
      const onDescribed = async (folder: string): Promise<void> =>
        await checkDescribed(await this.gpu(), folder, { name: asked.model, dtype });
      this.#published.set(
        name,
        withSettings(findPublished(asked, { onDescribed, ...this.#options }), this.#options),
      );
    }
    return this.#published.get(name)!;
  }
}

/** In f16, or with another tokenizer, a checkpoint is another model to a sweep. */
async function withSettings(
  found: Promise<PublishedCheckpoint>,
  { dtype = "f32", tokenizer }: ModelSourceOptions,
): Promise<PublishedCheckpoint> {
  const { card, ...rest } = await found;
  const settings = [card.fingerprint, dtype, ...(tokenizer === undefined ? [] : [tokenizer])];
  return { ...rest, card: { ...card, fingerprint: settings.join(" ") } };
}

/** A committed model's folder, or the folder that a path names. */
function directoryOf(name: string): URL | string {
  return isPath(name) ? name : zooDirectory(name);
}

function isPath(name: string): boolean {
  return name.includes("/") || name.includes("\\") || name.endsWith(".pth");
}

/** Whether a name is of a published checkpoint: on the hub, a file, or a folder without a recipe. */
async function isPublished(name: string): Promise<boolean> {
  if (isHubModel(name)) return true;
  if (!isPath(name)) return false;
  if (name.endsWith(".pth")) return true;
  const files = await Array.fromAsync(Deno.readDir(name), ({ name }) => name)
    .catch((): string[] => []);
  return !files.includes("recipe.json") &&
    files.some((file) => file === "config.json" || file.endsWith(".pth"));
}
