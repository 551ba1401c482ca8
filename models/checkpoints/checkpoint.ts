import type { Gpu } from "../../kernels/gpu/mod.ts";
import type { ModelConfiguration } from "../configuration.ts";
import type { WeightType } from "../matrices.ts";
import { Model } from "../model.ts";
import { requireDeno } from "../platform.ts";
import { type Described, type ModelFiles, type Place, placeOf, placeOfPath } from "./place.ts";
import { CheckpointConfig } from "./published/config.ts";
import { checkModelFits, loadParameters, type PublishedModel } from "./published/family.ts";
import { FORMAT } from "./published/lengthwise.ts";
import { failBare, readBare, readPublished } from "./published/registry.ts";
import { withStoredHead } from "./published/stored_head.ts";
import { CheckpointTensors } from "./published/tensors.ts";
import { replaceFile } from "./replace_file.ts";
import { type StoredTensor, writeSafetensors } from "./safetensors.ts";
import type { Weights } from "./weights.ts";

/** The bytes of a model's `model.safetensors`. Waits for the GPU. @throws {Error} where it is quantized. */
export async function storeParameters(model: Model): Promise<Map<string, StoredTensor>> {
  const variables = [...model.parameters];
  const tensors = variables.map(([, { blocks }]) => blocks.map(({ tensor }) => tensor));
  const values = await model.gpu.read(tensors.flat());
  return new Map(
    variables.map(([name, { shape, size }], index) => {
      const parts = values.splice(0, tensors[index].length);
      if (parts.length === 1) return [name, { shape, data: parts[0] }];
      const data = new Float32Array(size);
      let first = 0;
      for (const part of parts) {
        data.set(part, first);
        first += part.length;
      }
      return [name, { shape, data }];
    }),
  );
}

/** How {@linkcode saveModel} writes. */
export interface SaveModelOptions {
  /** How the weights are stored; in f16 they take half the room, and lose digits. @default "f32" */
  readonly dtype?: "f32" | "f16";
}

/**
 * Writes a model as `config.json` and `model.safetensors` into a directory, which is made.
 *
 * @throws {RangeError} where a weight is too large for f16 and that is asked for.
 */
export async function saveModel(
  model: Model,
  directory: string,
  { dtype = "f32" }: SaveModelOptions = {},
): Promise<void> {
  requireDeno(`save a model into ${directory}`, "it has no folders");
  if (dtype !== "f32" && dtype !== "f16") {
    throw new RangeError(
      `Cannot save a model as dtype must be "f32" or "f16": current value is ${
        JSON.stringify(dtype)
      }`,
    );
  }
  const tensors = await storeParameters(model);
  const weights = writeSafetensors(dtype === "f32" ? tensors : inHalves(tensors));
  const configuration = { format: FORMAT, ...model.configuration };
  await Deno.mkdir(directory, { recursive: true });
  await replaceFile(
    `${directory}/config.json`,
    JSON.stringify(configuration, undefined, 2) + "\n",
  );
  await replaceFile(`${directory}/model.safetensors`, weights);
}

/** Tensors in f16. @throws {RangeError} where one is too large for that. */
function inHalves(
  tensors: ReadonlyMap<string, StoredTensor>,
): Parameters<typeof writeSafetensors>[0] {
  return new Map([...tensors].map(([name, { shape, data }]) => {
    const halves = Float16Array.from(data);
    const at = halves.findIndex((value, i) => !Number.isFinite(value) && Number.isFinite(data[i]));
    if (at >= 0) {
      throw new RangeError(
        `Cannot store ${name} in f16 as that reaches to 65504: one of its values is ${data[at]}`,
      );
    }
    return [name, { shape, data: halves }] as const;
  }));
}

/** How {@linkcode loadModel} loads. */
export interface LoadModelOptions {
  /**
   * How the weights of linear maps and of the embedding are kept on the GPU; all else is f32, and so
   * are they by default. In f16 they take half the memory; the adapter must have `shader-f16`. In `int8`
   * and `int4` they are quantized as they are loaded, 32 neighbours with a scale, and take 8.5 and 4.5
   * bits each; embedding and head have 8 bits in both. What is not in f32 cannot be trained.
   *
   * What is below the range of 16-bit floats loses digits, without an error: in f16 a weight below
   * 6.1e-5 in magnitude, in `int8` and `int4` all weights of a group whose largest is below it. At less
   * than 6e-8 they may become 0, and on some GPUs all below 6.1e-5 do.
   */
  readonly dtype?: WeightType;
  /** Changes the model that its weights are put into, such as by {@linkcode intervene}. */
  readonly configure?: (configuration: ModelConfiguration) => ModelConfiguration;
}

/**
 * Loads a model: one that `saveModel()` wrote, or a published checkpoint, `config.json` with its
 * weights or, where its family has no config, such as RWKV's `.pth` files, the weights alone. They go
 * to the GPU tensor by tensor.
 *
 * In a browser, which has no folders, it takes an address, or contents:
 *
 * ```ts
 * import { openGpu } from "@lengthwise/lengthwise/kernels";
 * import { loadModel, zooDirectory } from "@lengthwise/lengthwise/models";
 *
 * await using gpu = await openGpu();
 * const address = zooDirectory("gla-text"); // or new URL("gla-text/", location.href)
 * const weights = await (await fetch(new URL("model.safetensors", address))).blob();
 * const config = await (await fetch(new URL("config.json", address))).text();
 * using model = await loadModel(gpu, { config, weights });
 * console.log(await model.generate([67, 97, 108, 108], { maxTokens: 4 }));
 * ```
 *
 * @param source Its folder, or the file of its weights; `hf:owner/name` or, where that has several
 * models, `hf:owner/name:file`, which is downloaded where it is not in the cache; a `file:` or
 * `https:` address that ends in a slash; or the contents of its files.
 * @throws {Error} where a file is missing, truncated, of an unknown kind, or holds another model's
 * tensors, where a download fails, and in a browser for a folder or a model on the hub.
 * @throws {RangeError} where it takes more memory than there is.
 */
export async function loadModel(
  gpu: Gpu,
  source: string | URL | ModelFiles,
  options: LoadModelOptions = {},
): Promise<Model> {
  const onDescribed = (folder: string): Promise<void> =>
    checkDescribed(gpu, folder, { ...options, name: `${source}` });
  using checkpoint = new Checkpoint(await placeOf(source, onDescribed));
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
 * @param source Its folder, file, address or contents, as {@linkcode loadModel} takes them.
 * @throws {Error} where it is missing or of an unknown kind.
 */
export async function describeModel(
  source: string | URL | ModelFiles,
): Promise<ModelDescription> {
  using checkpoint = new Checkpoint(await placeOf(source));
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

/** A checkpoint whose weights are opened when they are first asked for. */
class Checkpoint implements Disposable {
  readonly #place: Place;
  #weights: Weights | undefined;

  constructor(place: Place) {
    this.#place = place;
  }

  /**
   * What it holds. Its config says it; if there is none, its tensors, as they do where a file was
   * named that lies beside another model's config.
   */
  async read(): Promise<PublishedModel> {
    const { isFile } = this.#place;
    const config = await readConfig(this.#place);
    const configured = config && readPublished(config);
    if (configured && !isFile) return configured;
    const tensors = new CheckpointTensors(await this.weights());
    return readBare(tensors) ?? configured ?? failBare(tensors);
  }

  /** Its weights, opened. */
  async weights(): Promise<Weights> {
    return this.#weights ??= await this.#place.open();
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
  options: { name: string; dtype?: WeightType },
): Promise<void> {
  const config = await readConfig(await placeOfPath(folder));
  if (config) checkModelFits(gpu, options.name, readPublished(config).configuration, options);
}

/** A checkpoint's config; undefined if there is none, or one that is empty. */
async function readConfig(place: Place): Promise<CheckpointConfig | undefined> {
  let described: Described | undefined;
  try {
    described = await place.describe();
  } catch (error) {
    throw new Error(
      `Cannot load a model from ${place.name} as its config.json cannot be read: ${
        (error as Error).message
      }`,
      { cause: error },
    );
  }
  if (described === undefined) return undefined;
  const config = CheckpointConfig.parse(described.text, described.source);
  return Object.keys(config.values).length === 0 ? undefined : config;
}
