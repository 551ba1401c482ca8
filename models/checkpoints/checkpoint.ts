import { dirname, fromFileUrl, join } from "@std/path";
import type { Gpu } from "../../kernels/gpu/mod.ts";
import type { ModelConfiguration } from "../configuration.ts";
import { Model } from "../model.ts";
import { readBoundedText } from "../text_file.ts";
import type { ByteSource } from "./byte_source.ts";
import { readAll, request } from "./http.ts";
import { downloadModel, isHubModel } from "./hub.ts";
import { CheckpointConfig } from "./published/config.ts";
import { checkModelFits, loadParameters, type PublishedModel } from "./published/family.ts";
import { FORMAT } from "./published/lengthwise.ts";
import { failBare, readBare, readPublished } from "./published/registry.ts";
import { withStoredHead } from "./published/stored_head.ts";
import { CheckpointTensors } from "./published/tensors.ts";
import { replaceFile } from "./replace_file.ts";
import { locateSafetensors, type StoredTensor, writeSafetensors } from "./safetensors.ts";
import { openWeights, Weights } from "./weights.ts";

/** Bytes that are fetched into memory: committed models have some megabytes. */
const LARGEST_FETCHED = 2 ** 31;

/** The bytes of a model's `model.safetensors`. Waits for the GPU. */
export async function storeParameters(model: Model): Promise<Map<string, StoredTensor>> {
  const variables = [...model.parameters];
  const values = await model.gpu.read(variables.map(([, { tensor }]) => tensor));
  return new Map(
    variables.map(([name, { shape }], index) => [
      name,
      { shape, data: values[index] as Float32Array },
    ]),
  );
}

/** Writes a model as `config.json` and `model.safetensors` into a directory, which is made. */
export async function saveModel(model: Model, directory: string): Promise<void> {
  await Deno.mkdir(directory, { recursive: true });
  const configuration = { format: FORMAT, ...model.configuration };
  await replaceFile(
    `${directory}/config.json`,
    JSON.stringify(configuration, undefined, 2) + "\n",
  );
  await replaceFile(
    `${directory}/model.safetensors`,
    writeSafetensors(await storeParameters(model)),
  );
}

/** How {@linkcode loadModel} loads. */
export interface LoadModelOptions {
  /**
   * How the weights of linear maps and of the embedding are kept on the GPU; all else is f32, and so
   * are they by default. In f16 they take half the memory, and cannot be trained; the adapter must
   * have `shader-f16`.
   */
  readonly dtype?: "f32" | "f16";
  /** Changes the model that its weights are put into, such as by {@linkcode intervene}. */
  readonly configure?: (configuration: ModelConfiguration) => ModelConfiguration;
}

/**
 * Loads a model: one that `saveModel()` wrote, or a published checkpoint, `config.json` with its
 * weights or, where its family has no config, such as RWKV's `.pth` files, the weights alone. They go
 * to the GPU tensor by tensor.
 *
 * @param directory Its folder, or the file of its weights; `hf:owner/name` or, where that has several
 * models, `hf:owner/name:file`, which is downloaded where it is not in the cache; or a `file:` or
 * `https:` address that ends in a slash.
 * @throws {Error} where a file is missing, truncated, of an unknown kind, or holds another model's
 * tensors, and where a download fails.
 * @throws {RangeError} where a tensor is larger than the adapter allows.
 */
export async function loadModel(
  gpu: Gpu,
  directory: string | URL,
  options: LoadModelOptions = {},
): Promise<Model> {
  const onDescribed = (folder: string): Promise<void> =>
    checkDescribed(gpu, folder, { ...options, name: `${directory}` });
  using checkpoint = new Checkpoint(await findCheckpoint(directory, onDescribed));
  const described = await checkpoint.read();
  const weights = await checkpoint.weights();
  const published = await withStoredHead(described, weights);
  const parameters = await loadParameters(gpu, weights, published, options);
  const { configure = (configuration) => configuration } = options;
  return new Model(gpu, configure(published.configuration), parameters);
}

/** What a checkpoint says of itself before its weights are read. */
export interface ModelDescription {
  /** The model. */
  readonly configuration: ModelConfiguration;
  /** The longest length that it was trained at, in tokens, where the checkpoint says so. */
  readonly trainedLength?: number;
}

/**
 * Describes a checkpoint from its configuration, or from its tensors' shapes where it has none.
 *
 * @param directory Its folder or file, as {@linkcode loadModel} takes it.
 * @throws {Error} where it is missing or of an unknown kind.
 */
export async function describeModel(directory: string | URL): Promise<ModelDescription> {
  using checkpoint = new Checkpoint(await findCheckpoint(directory));
  const described = await checkpoint.read();
  // Whether a stored head differs from a tied embedding is seen from the weights, where they are there.
  const weights = described.configuration.tiedHead
    ? await checkpoint.weights().catch(() => undefined)
    : undefined;
  const { configuration, trainedLength } = weights
    ? await withStoredHead(described, weights)
    : described;
  return { configuration, trainedLength };
}

/** A folder, an address of one, or a file of weights. */
type Place = string | URL;

/** A checkpoint whose weights are opened when they are first asked for. */
class Checkpoint implements Disposable {
  readonly #place: Place;
  #weights: Weights | undefined;

  constructor(place: Place) {
    this.#place = place;
  }

  /**
   * What it holds. Its config says it; where there is none, its tensors, as they do where a file was
   * named that lies beside another model's config.
   */
  async read(): Promise<PublishedModel> {
    const named = await isFile(this.#place);
    const config = await readConfig(this.#place, named);
    const configured = config && readPublished(config);
    if (configured && !named) return configured;
    const tensors = new CheckpointTensors(await this.weights());
    return readBare(tensors) ?? configured ?? failBare(tensors);
  }

  /** Its weights, opened. */
  async weights(): Promise<Weights> {
    return this.#weights ??= this.#place instanceof URL
      ? await fetchWeights(this.#place)
      : await openWeights(this.#place);
  }

  [Symbol.dispose](): void {
    this.#weights?.[Symbol.dispose]();
  }
}

/**
 * Checks that a checkpoint of which only the configuration is there fits the GPU; where it has none,
 * nothing is checked.
 *
 * @param options.name The checkpoint, for errors.
 * @throws {Error} where it is of an unknown kind. @throws {RangeError} where it does not fit.
 */
export async function checkDescribed(
  gpu: Gpu,
  folder: string,
  options: { name: string; dtype?: "f32" | "f16" },
): Promise<void> {
  const config = await readConfig(folder, false);
  if (config) checkModelFits(gpu, options.name, readPublished(config).configuration, options);
}

async function findCheckpoint(
  directory: string | URL,
  onDescribed?: (folder: string) => Promise<void>,
): Promise<Place> {
  if (directory instanceof URL) {
    return directory.protocol === "file:" ? fromFileUrl(directory) : directory;
  }
  return isHubModel(directory) ? await downloadModel(directory, { onDescribed }) : directory;
}

async function isFile(place: Place): Promise<boolean> {
  if (place instanceof URL) return false;
  return await Deno.stat(place).then((stat) => stat.isFile, () => false);
}

/** The `config.json` in a folder, or beside a file; none where there is none, or one that is empty. */
async function readConfig(place: Place, named: boolean): Promise<CheckpointConfig | undefined> {
  const source = place instanceof URL
    ? new URL("config.json", place)
    : join(named ? dirname(place) : place, "config.json");
  let text: string;
  try {
    text = source instanceof URL
      ? new TextDecoder().decode(await fetchFile(source))
      : await readBoundedText(source);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new Error(
      `Cannot load a model from ${place} as its config.json cannot be read: ${
        (error as Error).message
      }`,
      { cause: error },
    );
  }
  const config = CheckpointConfig.parse(text, `${source}`);
  return Object.keys(config.values).length === 0 ? undefined : config;
}

/** The weights behind an address, which are held in memory. */
async function fetchWeights(folder: URL): Promise<Weights> {
  const address = new URL("model.safetensors", folder);
  const bytes = await fetchFile(address);
  const source: ByteSource = {
    name: `${address}`,
    size: bytes.byteLength,
    read(offset, into): Promise<void> {
      into.set(bytes.subarray(offset, offset + into.byteLength));
      return Promise.resolve();
    },
    [Symbol.dispose]: () => {},
  };
  return new Weights(`${address}`, [source], await locateSafetensors(source));
}

/**
 * The bytes behind an address.
 *
 * @throws {Error} where the server does not have them, or takes too long.
 */
export async function fetchFile(address: URL): Promise<Uint8Array<ArrayBuffer>> {
  const response = await request(address);
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`${address} answered ${response.status}`);
  }
  return await readAll(response, LARGEST_FETCHED);
}
