import { elementCount, type Gpu, Tensor } from "../../kernels/gpu/mod.ts";
import {
  convert,
  type Matrix,
  quantize,
  QuantizedMatrix,
  type StoredFloat,
} from "../../kernels/storage/mod.ts";
import { blockRows, type KeptParameter } from "../matrices.ts";
import { STORED_BYTES, type StoredDataType, toFloats } from "./data_types.ts";

/** Elements of a tensor in its file's order, and how they are stored. */
export interface StoredElements {
  /** How they are stored. */
  readonly dtype: StoredDataType;
  /** The bytes of some of them, which are good until the next are asked for. */
  read(first: number, last: number): Promise<Uint8Array<ArrayBuffer>>;
}

/** Elements that are read and brought to the GPU at a time. */
const PIECE = 2 ** 19;
/** Bytes written to the GPU before {@linkcode Loader} waits for it to have taken them. */
const BYTES_IN_FLIGHT = 64 * 2 ** 20;

/** What the GPU itself makes something else of. */
const STORED_FLOATS: Partial<Record<StoredDataType, StoredFloat>> = {
  F32: "f32",
  F16: "f16",
  BF16: "bf16",
};

/**
 * Brings stored tensors to the GPU, piece by piece. What they are there, of fewer bits or in groups of
 * integers, the GPU makes of them: the host reads bytes and hands them on. A software adapter is no faster
 * than the host, though: there the host widens 16-bit floats that are kept in 32.
 */
export class Loader implements Disposable {
  readonly #gpu: Gpu;
  readonly #path: string;
  /** The pieces, where the GPU makes something else of them. */
  #staging: Tensor<"u32"> | undefined;
  /** By tensor: 1 where it holds a number that 16 bits do not. */
  readonly #flags: Tensor<"u32">;
  /** A piece as the host widens it. */
  #widened: Float32Array<ArrayBuffer> | undefined;
  readonly #flagged: { readonly name: string; readonly dtype: string }[] = [];
  #bytesInFlight = 0;

  /**
   * Of a checkpoint.
   *
   * @param options.tensors How many will be loaded at most.
   */
  constructor(gpu: Gpu, path: string, { tensors }: { readonly tensors: number }) {
    this.#gpu = gpu;
    this.#path = path;
    this.#flags = gpu.tensor([Math.max(1, tensors)], undefined, "u32");
  }

  /** Loads a tensor in one block, or a matrix in as many as need be; the caller disposes of them. */
  async load(
    kept: KeptParameter,
    stored: StoredElements,
    { whole = false }: { readonly whole?: boolean } = {},
  ): Promise<Matrix[]> {
    const { shape, dtype } = kept;
    const isMatrix = shape.length === 2;
    const columns = isMatrix ? shape[1] : elementCount(shape);
    using made = new DisposableStack();
    let first = 0;
    const matrices: Matrix[] = [];
    for (const rows of whole ? [elementCount(shape.slice(0, -1))] : blockRows(this.#gpu, kept)) {
      const blockShape = isMatrix ? [rows, columns] : shape;
      const block = dtype === "f32" || dtype === "f16"
        ? this.#gpu.empty(blockShape, dtype)
        : new QuantizedMatrix(this.#gpu, blockShape, dtype);
      matrices.push(made.use(block));
      await this.#fill(block, stored, { name: kept.name, first, columns });
      first += block.size;
    }
    made.move();
    return matrices;
  }

  /**
   * Waits for what was loaded.
   *
   * @throws {RangeError} where a tensor holds a number that 16 bits do not.
   */
  async finish(): Promise<void> {
    if (this.#flagged.length === 0) return;
    const flags = await this.#flags.read();
    const past = this.#flagged.find((_, index) => flags[index] !== 0);
    if (past === undefined) return;
    throw new RangeError(
      `Cannot load ${past.name} from ${this.#path} as ${past.dtype} as elements of it are past 65504: load it as f32`,
    );
  }

  /** Frees what the loading took. */
  [Symbol.dispose](): void {
    this.#staging?.[Symbol.dispose]();
    this.#flags[Symbol.dispose]();
  }

  async #fill(
    block: Matrix,
    stored: StoredElements,
    { name, first, columns }: {
      readonly name: string;
      readonly first: number;
      readonly columns: number;
    },
  ): Promise<void> {
    const isQuantized = block instanceof QuantizedMatrix;
    const onHost = this.#gpu.adapter.software && block.dtype === "f32";
    const from = onHost ? "f32" : STORED_FLOATS[stored.dtype] ?? "f32";
    const isSame = from === block.dtype;
    // A piece of a quantized matrix is of whole rows.
    const piece = Math.min(PIECE, 8 * Math.floor(this.#gpu.bindingLimit / 32));
    const atOnce = isQuantized ? Math.max(1, Math.floor(piece / columns)) * columns : piece;
    const flag = isSame || block.dtype === "f32" ? 0 : this.#flagFor(name, block.dtype);
    for (let start = 0; start < block.size; start += atOnce) {
      const elements = Math.min(atOnce, block.size - start);
      const bytes = await stored.read(first + start, first + start + elements);
      const isKnown = STORED_FLOATS[stored.dtype] === from;
      const known = isKnown ? bytes : this.#widen(bytes, stored.dtype);
      if (isSame && block instanceof Tensor) {
        const values = from === "f32"
          ? new Float32Array(...aligned(known, 4))
          : new Float16Array(...aligned(known, 2));
        this.#gpu.write(block, values, { offset: start });
      } else {
        const words = inWords(known);
        const staging = this.#stage(words.length);
        this.#gpu.write(staging, words, { offset: 0 });
        const inputs = { stored: staging, flags: this.#flags };
        if (isQuantized) {
          const rows = { from, rows: elements / columns, firstRow: start / columns, flag };
          quantize(this.#gpu, { ...inputs, output: block }, rows);
        } else {
          convert(this.#gpu, { ...inputs, output: block }, { from, elements, first: start, flag });
        }
      }
      this.#bytesInFlight += known.byteLength;
      if (this.#bytesInFlight < BYTES_IN_FLIGHT) continue;
      await this.#gpu.sync();
      this.#bytesInFlight = 0;
    }
  }

  #flagFor(name: string, dtype: string): number {
    const last = this.#flagged.at(-1);
    if (last?.name !== name) this.#flagged.push({ name, dtype });
    return this.#flagged.length - 1;
  }

  /** The bytes of 32-bit floats, which are good until the next. */
  #widen(bytes: Uint8Array<ArrayBuffer>, dtype: StoredDataType): Uint8Array<ArrayBuffer> {
    const elements = bytes.length / STORED_BYTES[dtype];
    if (this.#widened === undefined || this.#widened.length < elements) {
      this.#widened = new Float32Array(elements);
    }
    const { buffer, byteOffset, byteLength } = toFloats(bytes, dtype, this.#widened);
    return new Uint8Array(buffer, byteOffset, byteLength);
  }

  #stage(words: number): Tensor<"u32"> {
    if (this.#staging === undefined || this.#staging.size < words) {
      this.#staging?.[Symbol.dispose]();
      this.#staging = this.#gpu.empty([words], "u32");
    }
    return this.#staging;
  }
}

/** Where an array of elements of so many bytes lies in bytes, which are copied where it may not. */
function aligned(
  bytes: Uint8Array<ArrayBuffer>,
  width: number,
): [buffer: ArrayBuffer, offset: number, length: number] {
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  return [buffer, byteOffset, byteLength / width];
}

/** Bytes as words of 4, the last filled up with zeros. */
function inWords(bytes: Uint8Array<ArrayBuffer>): Uint32Array {
  if (bytes.byteLength % 4 === 0) return new Uint32Array(...aligned(bytes, 4));
  const filled = new Uint8Array(Math.ceil(bytes.byteLength / 4) * 4);
  filled.set(bytes);
  return new Uint32Array(filled.buffer);
}
