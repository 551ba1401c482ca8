import { basename, dirname, join } from "@std/path";
import { type DataType, elementCount, type Gpu, type Tensor } from "../../kernels/gpu/mod.ts";
import { type ByteSource, openFile, readBytes } from "./byte_source.ts";
import { STORED_BYTES, toFloats, toHalves } from "./data_types.ts";
import { requireDeno } from "../platform.ts";
import { showNames } from "../schema.ts";
import { readBoundedText } from "../text_file.ts";
import { LARGEST_INDEX, parseIndex } from "./index_file.ts";
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

/** Elements that {@linkcode Weights.load} reads at a time. */
const PIECE = 2 ** 19;
/** Bytes written to the GPU before {@linkcode Weights.load} waits for it to have taken them. */
const BYTES_IN_FLIGHT = 64 * 2 ** 20;

/**
 * A checkpoint's tensors, none of which is read before it is asked for. Holds its files open:
 * dispose of it.
 */
export class Weights implements Disposable {
  /** What it was opened from. */
  readonly path: string;
  readonly #files: readonly ByteSource[];
  readonly #locations: ReadonlyMap<string, TensorLocation>;
  #bytesInFlight = 0;

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

  /** Reads one tensor. @throws {Error} where there is none of that name. */
  async read(name: string): Promise<StoredBytes> {
    const location = this.#locate(name);
    const { source, offset, shape, dtype, strides } = location;
    const stored = await readBytes(source, offset, location.bytes);
    const bytes = strides ? gather(stored, shape, strides, STORED_BYTES[dtype]) : stored;
    return { shape, dtype, bytes };
  }

  /** Reads one tensor as 32-bit floats. @throws {Error} where there is none of that name. */
  async readFloats(name: string): Promise<Float32Array> {
    const { bytes, dtype } = await this.read(name);
    return toFloats(bytes, dtype);
  }

  /**
   * Reads one tensor into the GPU, piece by piece; the caller disposes of it.
   *
   * @param options The data type on the GPU, f32 by default.
   * @throws {Error} where there is none of that name, or f16 cannot hold its elements.
   */
  async load(
    gpu: Gpu,
    name: string,
    options: { dtype?: Exclude<DataType, "u32"> } = {},
  ): Promise<Tensor> {
    const { dtype = "f32" } = options;
    const location = this.#locate(name);
    const convert = this.#converter(name, location, dtype);
    const tensor = gpu.empty(location.shape, dtype);
    try {
      for await (const [offset, bytes] of this.#pieces(name, location)) {
        const values = convert(bytes);
        gpu.write(tensor, values, { offset });
        this.#bytesInFlight += values.byteLength;
        if (this.#bytesInFlight >= BYTES_IN_FLIGHT) {
          await gpu.sync();
          this.#bytesInFlight = 0;
        }
      }
      return tensor;
    } catch (error) {
      tensor[Symbol.dispose]();
      throw error;
    }
  }

  /** Whether two tensors have one shape and the same elements, as 32-bit floats; read piece by piece. */
  async areEqual(one: string, other: string): Promise<boolean> {
    const [left, right] = [this.#locate(one), this.#locate(other)];
    if (`${left.shape}` !== `${right.shape}`) return false;
    const others = this.#pieces(other, right);
    for await (const [, bytes] of this.#pieces(one, left)) {
      const values = toFloats(bytes, left.dtype);
      const { value } = await others.next();
      const compared = toFloats(value![1], right.dtype);
      if (!values.every((element, index) => Object.is(element, compared[index]))) {
        await others.return(undefined);
        return false;
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

  /** Pieces of a tensor, each with the number of its first element, good until the next is asked for. */
  async *#pieces(
    name: string,
    { source, shape, dtype, offset, strides }: TensorLocation,
  ): AsyncGenerator<[first: number, bytes: Uint8Array<ArrayBuffer>]> {
    const width = STORED_BYTES[dtype];
    const elements = elementCount(shape);
    const whole = strides && (await this.read(name)).bytes;
    const piece = new Uint8Array(whole ? 0 : Math.min(PIECE, elements) * width);
    for (let first = 0; first < elements; first += PIECE) {
      const last = Math.min(first + PIECE, elements);
      const bytes = whole
        ? whole.subarray(first * width, last * width)
        : piece.subarray(0, (last - first) * width);
      if (!whole) await source.read(offset + first * width, bytes);
      yield [first, bytes];
    }
  }

  /** Turns a tensor's pieces into what the GPU takes, each good until the next. */
  #converter(
    name: string,
    { shape, dtype }: TensorLocation,
    wanted: "f32" | "f16",
  ): (bytes: Uint8Array<ArrayBuffer>) => Float32Array | Float16Array {
    const width = STORED_BYTES[dtype];
    const length = Math.min(PIECE, elementCount(shape));
    if (wanted === "f16" && dtype === "F16") {
      return (bytes) => new Float16Array(bytes.buffer, bytes.byteOffset, bytes.length / width);
    }
    const floats = new Float32Array(length);
    if (wanted === "f32") return (bytes) => toFloats(bytes, dtype, floats);
    const halves = new Float16Array(length);
    return (bytes) => {
      if (!toHalves(toFloats(bytes, dtype, floats), halves)) {
        throw new RangeError(
          `Cannot load ${name} from ${this.path} as f16 as elements of it are past 65504: load it as f32`,
        );
      }
      return halves.subarray(0, bytes.length / width);
    };
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
