import { basename, dirname, join } from "@std/path";
import { elementCount, type FloatType, type Gpu, type Tensor } from "../../kernels/gpu/mod.ts";
import { type ByteSource, openFile, readBytes } from "./byte_source.ts";
import { STORED_BYTES, toFloats } from "./data_types.ts";
import { requireDeno } from "../platform.ts";
import { showNames } from "../schema.ts";
import { readBoundedText } from "../text_file.ts";
import { LARGEST_INDEX, parseIndex } from "./index_file.ts";
import { Loader, type StoredElements } from "./loader.ts";
import { locateSafetensors } from "./safetensors.ts";
import type { TensorDescription, TensorLocation } from "./tensor_location.ts";
import { locateTorch } from "./torch.ts";

/** A tensor's elements as they are stored, row-major. */
export interface StoredBytes extends TensorDescription {
  /** The elements, little-endian. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** How {@linkcode openWeights} opens files. */
export interface OpenWeightsOptions {
  /** Opens a file by its path; left out, from the disk. */
  openFile?: (path: string) => Promise<ByteSource>;
}

/** Elements that {@linkcode Weights.areEqual} compares at a time. */
const PIECE = 2 ** 19;

/**
 * A checkpoint's tensors, none of which is read before it is asked for. Holds its files open:
 * dispose of it.
 */
export class Weights implements Disposable {
  /** What it was opened from. */
  readonly path: string;
  readonly #files: readonly ByteSource[];
  readonly #locations: ReadonlyMap<string, TensorLocation>;

  /** Made by {@linkcode openWeights}. */
  constructor(
    path: string,
    files: readonly ByteSource[],
    locations: ReadonlyMap<string, TensorLocation>,
  ) {
    this.path = path;
    this.#files = files;
    this.#locations = locations;
  }

  /** The names of the files that hold them. */
  get files(): readonly string[] {
    return this.#files.map(({ name }) => name);
  }

  /** Shapes and data types by name, in the files' order. */
  get tensors(): ReadonlyMap<string, TensorDescription> {
    return this.#locations;
  }

  /** Reads one tensor. @throws {Error} if there is none of that name. */
  async read(name: string): Promise<StoredBytes> {
    const location = this.#locate(name);
    const { source, offset, shape, dtype, strides } = location;
    const stored = await readBytes(source, offset, location.bytes);
    const bytes = strides ? gather(stored, shape, strides, STORED_BYTES[dtype]) : stored;
    return { shape, dtype, bytes };
  }

  /** Reads one tensor as 32-bit floats. @throws {Error} if there is none of that name. */
  async readFloats(name: string): Promise<Float32Array> {
    const { bytes, dtype } = await this.read(name);
    return toFloats(bytes, dtype);
  }

  /**
   * Reads one tensor into the GPU, piece by piece; the caller disposes of it.
   *
   * @param options The data type on the GPU, f32 by default.
   * @throws {Error} if there is none of that name, or f16 cannot hold its elements.
   */
  async load(
    gpu: Gpu,
    name: string,
    options: { dtype?: FloatType } = {},
  ): Promise<Tensor> {
    const { dtype = "f32" } = options;
    const stored = this.elements(name);
    const { shape } = this.#locate(name);
    using loader = new Loader(gpu, this.path, { tensors: 1 });
    using loaded = new DisposableStack();
    const [tensor] = await loader.load({ name, shape, dtype }, stored, { whole: true });
    loaded.use(tensor);
    await loader.finish();
    loaded.move();
    return tensor as Tensor;
  }

  /**
   * A tensor's elements, which are read as they are asked for.
   *
   * @param from The element that is the first of them.
   * @throws {Error} if there is none of that name.
   */
  elements(name: string, from: number = 0): StoredElements {
    const { source, dtype, offset, strides } = this.#locate(name);
    const width = STORED_BYTES[dtype];
    let piece = new Uint8Array(0);
    let whole: Uint8Array<ArrayBuffer> | undefined;
    return {
      dtype,
      read: async (first, last): Promise<Uint8Array<ArrayBuffer>> => {
        const [start, end] = [(from + first) * width, (from + last) * width];
        if (strides) {
          whole ??= (await this.read(name)).bytes;
          return whole.subarray(start, end);
        }
        if (piece.length < end - start) piece = new Uint8Array(end - start);
        const bytes = piece.subarray(0, end - start);
        await source.read(offset + start, bytes);
        return bytes;
      },
    };
  }

  /** Whether two tensors have one shape and the same elements, as 32-bit floats; read piece by piece. */
  async areEqual(one: string, other: string): Promise<boolean> {
    const [left, right] = [this.#locate(one), this.#locate(other)];
    if (`${left.shape}` !== `${right.shape}`) return false;
    const [ours, theirs] = [this.elements(one), this.elements(other)];
    const size = elementCount(left.shape);
    for (let first = 0; first < size; first += PIECE) {
      const last = Math.min(first + PIECE, size);
      const values = toFloats(await ours.read(first, last), left.dtype);
      const compared = toFloats(await theirs.read(first, last), right.dtype);
      for (let i = 0; i < values.length; i++) {
        if (!Object.is(values[i], compared[i])) return false;
      }
    }
    return true;
  }

  /** Closes the files. */
  [Symbol.dispose](): void {
    for (const file of this.#files) file[Symbol.dispose]();
  }

  #locate(name: string): TensorLocation {
    const location = this.#locations.get(name);
    if (location) return location;
    throw new Error(`Cannot read ${name} from ${this.path} as it holds no tensor of that name`);
  }
}

/**
 * Opens a checkpoint's weights: a directory with safetensors or PyTorch files, in one or in shards
 * with their index, or one such file. Reads what describes the tensors, none of their elements.
 *
 * ```ts
 * import { openGpu } from "@lengthwise/lengthwise";
 * import { openWeights } from "@lengthwise/lengthwise/models";
 *
 * await using gpu = await openGpu();
 * using weights = await openWeights("models/zoo/gla-text");
 * console.log(weights.tensors.get("embedding.weight")); // its shape and data type; nothing is read yet
 * using embedding = await weights.load(gpu, "embedding.weight");
 * console.log(embedding.shape);
 * ```
 *
 * @throws {Error} where a file is missing, truncated or foreign, where an index and its shards do
 * not agree, or where a pickle asks for more than tensors.
 */
export async function openWeights(
  path: string,
  options: OpenWeightsOptions = {},
): Promise<Weights> {
  requireDeno(`open the weights of ${path}`, "give loadModel() an address, or files' contents");
  const { openFile: open = openFile } = options;
  const { folder, files, index } = await findFiles(path);
  const sources: ByteSource[] = [];
  try {
    const shards = new Map<string, Map<string, TensorLocation>>();
    for (const file of files) {
      const source = await openShard(join(folder, file), open, index?.name);
      sources.push(source);
      shards.set(file, await locateTensors(source));
    }
    const locations = index ? selectIndexed(index, shards) : shards.get(files[0])!;
    return new Weights(path, sources, locations);
  } catch (error) {
    for (const source of sources) source[Symbol.dispose]();
    throw error;
  }
}

/** Which shard holds each tensor. */
interface Index {
  /** The index's own path. */
  readonly name: string;
  readonly shards: ReadonlyMap<string, string>;
}

interface Found {
  readonly folder: string;
  readonly files: readonly string[];
  readonly index?: Index;
}

/** The usual names, the one to prefer first. */
const USUAL_NAMES = [
  "model.safetensors.index.json",
  "model.safetensors",
  "pytorch_model.bin.index.json",
  "pytorch_model.bin",
];
const WEIGHTS = /\.(safetensors|bin|pth|pt)$/;

async function findFiles(path: string): Promise<Found> {
  let stat;
  try {
    stat = await Deno.stat(path);
  } catch (error) {
    throw new Error(`Cannot open the weights of ${path} as it is not there`, { cause: error });
  }
  if (stat.isFile) {
    return path.endsWith(".index.json")
      ? await readIndex(dirname(path), basename(path))
      : { folder: dirname(path), files: [basename(path)] };
  }
  const names = (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name).sort();
  const usual = USUAL_NAMES.find((name) => names.includes(name));
  if (usual?.endsWith(".json")) return await readIndex(path, usual);
  if (usual) return { folder: path, files: [usual] };
  const files = names.filter((name) => WEIGHTS.test(name));
  if (files.length === 1) return { folder: path, files };
  throw new Error(
    `Cannot open the weights of ${path} as it ${
      files.length === 0
        ? `holds none of ${USUAL_NAMES.join(", ")}, and no .safetensors, .bin or .pth file`
        : `holds several files: give the path of one of ${files.join(", ")}`
    }`,
  );
}

async function readIndex(folder: string, file: string): Promise<Found> {
  const name = join(folder, file);
  const shards = parseIndex(await readBoundedText(name, LARGEST_INDEX), name);
  return { folder, files: [...new Set(shards.values())].sort(), index: { name, shards } };
}

async function openShard(
  path: string,
  open: (path: string) => Promise<ByteSource>,
  index: string | undefined,
): Promise<ByteSource> {
  try {
    return await open(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      throw new Error(`Cannot open ${path}: ${(error as Error).message}`, { cause: error });
    }
    throw new Error(
      `Cannot open ${path} as it is not there${index ? `, though ${index} names it` : ""}`,
      { cause: error },
    );
  }
}

function locateTensors(source: ByteSource): Promise<Map<string, TensorLocation>> {
  return source.name.endsWith(".safetensors") ? locateSafetensors(source) : locateTorch(source);
}

function selectIndexed(
  index: Index,
  shards: ReadonlyMap<string, ReadonlyMap<string, TensorLocation>>,
): Map<string, TensorLocation> {
  const locations = new Map<string, TensorLocation>();
  const lacking: string[] = [];
  for (const [name, shard] of index.shards) {
    const location = shards.get(shard)?.get(name);
    if (location) locations.set(name, location);
    else lacking.push(`${shard} lacks ${name}`);
  }
  if (lacking.length > 0) {
    throw new Error(
      `Cannot open the weights of ${index.name} as its shards hold other tensors: ${
        showNames(lacking)
      }`,
    );
  }
  return locations;
}

/** A strided tensor's elements in row-major order. */
function gather(
  stored: Uint8Array<ArrayBuffer>,
  shape: readonly number[],
  strides: readonly number[],
  width: number,
): Uint8Array<ArrayBuffer> {
  // Elements of 8 bytes are copied as two words: a number would not keep every bit of them.
  if (width === 8) {
    return gather(stored, [...shape, 2], [...strides.map((stride) => 2 * stride), 1], 4);
  }
  const array = width === 4 ? Uint32Array : width === 2 ? Uint16Array : Uint8Array;
  const gathered = new Uint8Array(elementCount(shape) * width);
  const source = new array(stored.buffer);
  const target = new array(gathered.buffer);
  const last = shape.length - 1;
  let position = 0;
  const walk = (axis: number, from: number): void => {
    for (let i = 0; i < shape[axis]; i++) {
      const at = from + i * strides[axis];
      if (axis === last) target[position++] = source[at];
      else walk(axis + 1, at);
    }
  };
  walk(0, 0);
  return gathered;
}
