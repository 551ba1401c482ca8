import { join } from "@std/path";
import { type Gpu, openGpu } from "../../kernels/gpu/mod.ts";
import { isHubModel, loadModel, type ModelConfiguration } from "../../models/mod.ts";
import { ZOO, zooDirectory } from "../../models/zoo/mod.ts";
import type { Subject, SubjectCard, SubjectSource } from "../subject.ts";
import { ModelSubject } from "./model_subject.ts";
import { changed, type ModelName, parseName } from "./name.ts";
import { findPublished, type PublishedCheckpoint, type PublishedOptions } from "./published.ts";
import { readTrainedCard, trainedTokenizer } from "./trained.ts";

/** How models are found and loaded. */
export interface ModelSourceOptions extends PublishedOptions {
  /** How the weights of published checkpoints are kept on the GPU; f32 unless told. */
  readonly dtype?: "f32" | "f16";
  /** Bytes of GPU memory that may be used. */
  readonly memory?: number;
}

/**
 * The committed models by name, a folder that `deno task train` wrote by its path, a published
 * checkpoint by its path or as `hf:owner/name`; each also with interventions behind it:
 * `transformer-mixture+yarn8`. They share one GPU, which opens with the first.
 */
export class ModelSource implements SubjectSource, AsyncDisposable {
  readonly #options: ModelSourceOptions;
  readonly #published = new Map<string, Promise<PublishedCheckpoint>>();
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

  /** The cards of the named models; of all committed ones where `names` is empty. */
  async find(names: readonly string[]): Promise<readonly SubjectCard[]> {
    const cards: SubjectCard[] = [];
    for (const name of names.length === 0 ? ZOO : names) {
      const asked = await parseName(name);
      cards.push(
        await isPublished(asked.model)
          ? (await this.#findPublished(asked)).card
          : await readTrainedCard(asked, directoryOf(asked.model)),
      );
    }
    return cards;
  }

  /** Loads a model. */
  async open(card: SubjectCard): Promise<Subject & AsyncDisposable> {
    return await this.load(card);
  }

  /** Loads a model. */
  async load(card: SubjectCard): Promise<ModelSubject> {
    const gpu = await this.gpu();
    const asked = await parseName(card.name);
    const configure = (configuration: ModelConfiguration): ModelConfiguration =>
      changed(configuration, asked, card.trainLength);
    if (await isPublished(asked.model)) {
      const { folder, tokenizer } = await this.#findPublished(asked);
      const { dtype } = this.#options;
      return new ModelSubject(card, await loadModel(gpu, folder, { dtype, configure }), tokenizer);
    }
    const model = await loadModel(gpu, directoryOf(asked.model), { configure });
    return new ModelSubject(card, model, trainedTokenizer(model.configuration));
  }

  /** Closes the GPU, where one was opened. */
  async [Symbol.asyncDispose](): Promise<void> {
    const gpu = await this.#gpu?.catch(() => undefined); // whoever asked for it has the error
    await gpu?.[Symbol.asyncDispose]();
  }

  #findPublished(asked: ModelName): Promise<PublishedCheckpoint> {
    const { name } = asked;
    if (!this.#published.has(name)) {
      this.#published.set(name, findPublished(asked, this.#options));
    }
    return this.#published.get(name)!;
  }
}

/** A committed model's folder, or the folder that a path names. */
function directoryOf(name: string): URL | string {
  return isPath(name) ? name : zooDirectory(name);
}

function isPath(name: string): boolean {
  return name.includes("/") || name.includes("\\") || name.endsWith(".pth");
}

/** Whether a name is of a published checkpoint: on the hub, or a folder without a recipe. */
async function isPublished(name: string): Promise<boolean> {
  if (isHubModel(name)) return true;
  if (!isPath(name)) return false;
  if (name.endsWith(".pth")) return true;
  const has = async (file: string): Promise<boolean> =>
    await Deno.stat(join(name, file)).then(() => true, () => false);
  return !await has("recipe.json") && await has("config.json");
}
