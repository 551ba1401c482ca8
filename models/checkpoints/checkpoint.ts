import { fromFileUrl, join } from "@std/path";
import type { Gpu } from "../../kernels/gpu/mod.ts";
import type { ModelConfiguration } from "../configuration.ts";
import { Model } from "../model.ts";
import type { ByteSource } from "./byte_source.ts";
import { downloadModel, isHubModel } from "./hub.ts";
import { CheckpointConfig } from "./published/config.ts";
import { loadParameters, type PublishedModel } from "./published/family.ts";
import { FORMAT } from "./published/lengthwise.ts";
import { readPublished } from "./published/registry.ts";
import { locateSafetensors, type StoredTensor, writeSafetensors } from "./safetensors.ts";
import { openWeights, Weights } from "./weights.ts";

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
  await Deno.writeTextFile(
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
   * are they unless told. In f16 they take half the memory, and cannot be trained; the adapter must
   * have `shader-f16`.
   */
  readonly dtype?: "f32" | "f16";
  /** Changes the model that its weights are put into, such as by {@linkcode intervene}. */
  readonly configure?: (configuration: ModelConfiguration) => ModelConfiguration;
}

/**
 * Loads a model: one that `saveModel()` wrote, or a published checkpoint, `config.json` with its
 * weights. The weights go to the GPU tensor by tensor.
 *
 * @param directory Its folder; `hf:owner/name`, which is downloaded where it is not in the cache; or
 * a `file:` or `https:` address that ends in a slash.
 * @throws {Error} where a file is missing, truncated, of an unknown kind, or holds another model's
 * tensors, and where a download fails.
 * @throws {RangeError} where a tensor is larger than the adapter allows.
 */
export async function loadModel(
  gpu: Gpu,
  directory: string | URL,
  options: LoadModelOptions = {},
): Promise<Model> {
  const folder = await findFolder(directory);
  const published = await readFolder(folder);
  using weights = folder instanceof URL ? await fetchWeights(folder) : await openWeights(folder);
  const parameters = await loadParameters(gpu, weights, published, options);
  const { configure = (configuration) => configuration } = options;
  return new Model(gpu, configure(published.configuration), parameters);
}

/** What a checkpoint says of itself before its weights are read. */
export type ModelDescription = Pick<PublishedModel, "configuration" | "trainedLength">;

/**
 * Describes a checkpoint from its configuration alone.
 *
 * @param folder Its folder.
 * @throws {Error} where the configuration is missing or of an unknown kind.
 */
export async function describeModel(folder: string | URL): Promise<ModelDescription> {
  const { configuration, trainedLength } = await readFolder(await findFolder(folder));
  return { configuration, trainedLength };
}

/** Writes a file whole or not at all: a killed run leaves the one that was there. */
export async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const partial = `${path}.partial`;
  const file = await Deno.open(partial, { write: true, create: true, truncate: true });
  try {
    for (let written = 0; written < bytes.length;) {
      written += await file.write(bytes.subarray(written));
    }
    await file.sync();
  } finally {
    file.close();
  }
  await Deno.rename(partial, path);
}

async function readFolder(folder: string | URL): Promise<PublishedModel> {
  const name = folder instanceof URL
    ? `${new URL("config.json", folder)}`
    : join(folder, "config.json");
  return readPublished(CheckpointConfig.parse(await readConfig(folder), name));
}

async function findFolder(directory: string | URL): Promise<string | URL> {
  if (directory instanceof URL) {
    return directory.protocol === "file:" ? fromFileUrl(directory) : directory;
  }
  return isHubModel(directory) ? await downloadModel(directory) : directory;
}

async function readConfig(folder: string | URL): Promise<string> {
  try {
    return folder instanceof URL
      ? await (await fetchFile(new URL("config.json", folder))).text()
      : await Deno.readTextFile(join(folder, "config.json"));
  } catch (error) {
    throw new Error(
      `Cannot load a model from ${folder} as its config.json cannot be read: ${
        (error as Error).message
      }`,
      { cause: error },
    );
  }
}

/** The weights behind an address, which are held in memory. */
async function fetchWeights(folder: URL): Promise<Weights> {
  const address = new URL("model.safetensors", folder);
  const bytes = new Uint8Array(await (await fetchFile(address)).arrayBuffer());
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

async function fetchFile(address: URL): Promise<Response> {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address} answered ${response.status}`);
  return response;
}
