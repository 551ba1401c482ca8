import { dirname, fromFileUrl, join } from "@std/path";
import { requireDeno } from "../platform.ts";
import { showNames } from "../schema.ts";
import { readBoundedText } from "../text_file.ts";
import { type ByteSource, readBytes, sourceOf } from "./byte_source.ts";
import { fetchFile } from "./http.ts";
import { downloadModel, isHubModel } from "./hub.ts";
import { locateSafetensors } from "./safetensors.ts";
import type { TensorLocation } from "./tensor_location.ts";
import { locateTorch } from "./torch.ts";
import { openWeights, Weights } from "./weights.ts";

/** The bytes of a file of weights. Of a blob, such as a file that a page's user chose, pieces are read. */
export type WeightsContent = Uint8Array<ArrayBuffer> | Blob;

/** The contents of a model's files, for programs that hold them themselves. */
export interface ModelFiles {
  /** What `config.json` holds, as text or parsed. Families without one (RWKV's `.pth`) need none. */
  readonly config?: string | object;
  /** Safetensors, or what `torch.save()` wrote; a list where there are several files. */
  readonly weights: WeightsContent | readonly WeightsContent[];
  /** What errors call the model. @default "the given files" */
  readonly name?: string;
}

/** A text, and what errors call where it is from. */
export interface Described {
  readonly text: string;
  readonly source: string;
}

/** Where a checkpoint's files are. */
export interface Place {
  /** What errors call it. */
  readonly name: string;
  /** Whether it is one file of weights, which may lie beside another model's config. */
  readonly isFile: boolean;
  /** The text of its config; undefined if there is none. */
  describe(): Promise<Described | undefined>;
  /** Opens its weights. */
  open(): Promise<Weights>;
}

/**
 * The place that a folder or file, a model on the hub, an address that ends in a slash, or contents are.
 *
 * @param onDescribed As {@linkcode downloadModel} takes it.
 */
export async function placeOf(
  model: string | URL | ModelFiles,
  onDescribed?: (folder: string) => Promise<void>,
): Promise<Place> {
  if (model instanceof URL && model.protocol !== "file:") return placeOfAddress(model);
  if (typeof model === "string" || model instanceof URL) {
    requireDeno(
      `load ${model}`,
      "give loadModel() a model's address, or the contents of its files",
    );
    if (model instanceof URL) return await placeOfPath(fromFileUrl(model));
    return await placeOfPath(
      isHubModel(model) ? await downloadModel(model, { onDescribed }) : model,
    );
  }
  return placeOfFiles(model);
}

/** A folder, or a file of weights. */
export async function placeOfPath(path: string): Promise<Place> {
  const isFile = await Deno.stat(path).then((stat) => stat.isFile, () => false);
  const source = join(isFile ? dirname(path) : path, "config.json");
  return {
    name: path,
    isFile,
    async describe(): Promise<Described | undefined> {
      try {
        return { text: await readBoundedText(source), source };
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return undefined;
        throw error;
      }
    },
    open: () => openWeights(path),
  };
}

/** What is fetched is held in memory. */
function placeOfAddress(folder: URL): Place {
  const config = new URL("config.json", folder);
  const weights = new URL("model.safetensors", folder);
  return {
    name: `${folder}`,
    isFile: false,
    describe: async () => ({
      text: new TextDecoder().decode(await fetchFile(config)),
      source: `${config}`,
    }),
    open: async () => {
      const source = sourceOf(`${weights}`, await fetchFile(weights));
      return new Weights(`${weights}`, [source], await locateSafetensors(source));
    },
  };
}

function placeOfFiles({ config, weights, name = "the given files" }: ModelFiles): Place {
  const contents: readonly WeightsContent[] = Array.isArray(weights) ? weights : [weights];
  return {
    name,
    isFile: false,
    describe: () =>
      Promise.resolve(
        config === undefined ? undefined : {
          text: typeof config === "string" ? config : JSON.stringify(config),
          source: `the config of ${name}`,
        },
      ),
    open: async () => {
      const sources = contents.map((content, index) =>
        sourceOf(
          content instanceof File ? content.name : `weights ${index + 1} of ${name}`,
          content,
        )
      );
      const all = new Map<string, TensorLocation>();
      for (const source of sources) {
        for (const [tensor, location] of await locate(source)) {
          if (all.has(tensor)) {
            throw new Error(
              `Cannot open the weights of ${name} as several hold ${showNames([tensor])}`,
            );
          }
          all.set(tensor, location);
        }
      }
      return new Weights(name, sources, all);
    },
  };
}

/** The tensors of contents whose name need not say of which format they are: PyTorch's is a zip. */
async function locate(source: ByteSource): Promise<Map<string, TensorLocation>> {
  const start = await readBytes(source, 0, Math.min(2, source.size));
  const isZip = start[0] === 0x50 && start[1] === 0x4b;
  return isZip ? await locateTorch(source) : await locateSafetensors(source);
}
