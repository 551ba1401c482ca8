import type { Gpu } from "../../kernels/gpu/mod.ts";
import type { ModelConfiguration } from "../configuration.ts";
import { Model, parameterSpecifications } from "../model.ts";
import { readSafetensors, type StoredTensor, writeSafetensors } from "./safetensors.ts";

const FORMAT = "lengthwise";

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

/**
 * Loads a model from a directory, a `file:` or an `https:` address that ends in a slash.
 *
 * @throws {Error} where a file is missing, truncated, or holds another model's tensors.
 */
export async function loadModel(gpu: Gpu, directory: string | URL): Promise<Model> {
  const read = async (name: string): Promise<Uint8Array> => {
    try {
      return directory instanceof URL
        ? new Uint8Array(await (await fetchFile(new URL(name, directory))).arrayBuffer())
        : await Deno.readFile(`${directory}/${name}`);
    } catch (error) {
      throw new Error(
        `Cannot load a model from ${directory} as its ${name} cannot be read: ${
          (error as Error).message
        }`,
        { cause: error },
      );
    }
  };
  const configuration = parseConfiguration(await read("config.json"), `${directory}/config.json`);
  const source = `${directory}/model.safetensors`;
  const { tensors } = readSafetensors(await read("model.safetensors"), source);
  return new Model(gpu, configuration, checkTensors(configuration, tensors, source));
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

async function fetchFile(address: URL): Promise<Response> {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address} answered ${response.status}`);
  return response;
}

function parseConfiguration(bytes: Uint8Array, source: string): ModelConfiguration {
  let parsed;
  try {
    parsed = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new Error(`Cannot read ${source}: it is no JSON (${(error as Error).message})`);
  }
  const { format, ...configuration } = parsed;
  if (format !== FORMAT) {
    throw new Error(
      `Cannot read ${source}: it must say "format": "${FORMAT}", as the models of deno task train do`,
    );
  }
  return configuration;
}

/** The parameters' values by name. @throws {Error} that lists what is missing, extra or misshapen. */
export function checkTensors(
  configuration: ModelConfiguration,
  tensors: ReadonlyMap<string, StoredTensor>,
  source: string,
): Map<string, Float32Array> {
  const specifications = parameterSpecifications(configuration);
  const known = new Set(specifications.map(({ name }) => name));
  const missing = specifications.filter(({ name }) => !tensors.has(name)).map(({ name }) => name);
  const extra = [...tensors.keys()].filter((name) => !known.has(name));
  const misshapen = specifications.flatMap(({ name, shape }) => {
    const stored = tensors.get(name)?.shape;
    return stored && `${stored}` !== `${shape}`
      ? [`${name} has shape [${stored}], not [${shape}]`]
      : [];
  });
  const reasons = [
    ...(missing.length > 0 ? [`it lacks ${missing.join(", ")}`] : []),
    ...(extra.length > 0 ? [`it has tensors of another model: ${extra.join(", ")}`] : []),
    ...misshapen,
  ];
  if (reasons.length > 0) {
    throw new Error(
      `Cannot load ${source} as a ${configuration.family} model: ${reasons.join("; ")}`,
    );
  }
  return new Map(specifications.map(({ name }) => [name, tensors.get(name)!.data]));
}
