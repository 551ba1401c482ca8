import type { Entry, Reader } from "@zip.js/zip.js/lib/zip-core-reader.js";
import { showNames } from "../schema.ts";
import { type ByteSource, readBytes } from "./byte_source.ts";
import { STORED_BYTES } from "./data_types.ts";
import { type PickledTensor, readTensorPickle } from "./pickle.ts";
import type { TensorLocation } from "./tensor_location.ts";

const PICKLE_LIMIT = 100 * 2 ** 20;
/** Bytes of the file that says in which order bytes are. */
const BYTE_ORDER_LIMIT = 16;
const STORED = 0;
/** How the header before a file's bytes begins, and the bytes of it that each has. */
const LOCAL_MAGIC = 0x04034b50;
const LOCAL_HEADER = 30;
/** Bytes in which a zip's directory is found from its end, a comment of 64 KiB included. */
const ZIP_END = 22 + 2 ** 16;
const PICKLE_MAGIC = 0x80;

/**
 * Finds the tensors of what `torch.save()` wrote since PyTorch 1.6: a zip of a pickle and, not
 * compressed, a file per storage. Reads the zip's directory and the pickle alone.
 *
 * @throws {Error} where the file is truncated, foreign, or its pickle asks for more than tensors.
 */
export async function locateTorch(source: ByteSource): Promise<Map<string, TensorLocation>> {
  await checkMagic(source);
  const archive = await openArchive(source);
  const pickle = await archive.locate("data.pkl");
  if (pickle.bytes > PICKLE_LIMIT) fail(source, `its data.pkl has ${pickle.bytes} bytes`);
  if (archive.has("byteorder")) {
    const { offset, bytes } = await archive.locate("byteorder");
    if (bytes > BYTE_ORDER_LIMIT) fail(source, `its byteorder has ${bytes} bytes`);
    const order = new TextDecoder().decode(await readBytes(source, offset, bytes));
    if (order !== "little") {
      fail(source, `its byte order is ${showNames([order])}: save it on another machine`);
    }
  }
  const described = readTensorPickle(
    await readBytes(source, pickle.offset, pickle.bytes),
    source.name,
  );
  const locations = new Map<string, TensorLocation>();
  for (const [name, tensor] of described) {
    const { storage } = tensor;
    const file = await archive.locate(`data/${storage.key}`);
    const expected = storage.elements * STORED_BYTES[storage.dtype];
    if (file.bytes < expected) {
      fail(source, `the storage of ${name} has ${file.bytes} bytes, not ${expected}`);
    }
    locations.set(name, locate(source, tensor, file.offset));
  }
  return locations;
}

function locate(source: ByteSource, tensor: PickledTensor, start: number): TensorLocation {
  const { shape, strides, storage } = tensor;
  const width = STORED_BYTES[storage.dtype];
  const elements = shape.includes(0)
    ? 0
    : shape.reduce((sum, extent, axis) => sum + (extent - 1) * strides[axis], 1);
  return {
    source,
    shape,
    dtype: storage.dtype,
    offset: start + tensor.offset * width,
    bytes: elements * width,
    ...(elements === 0 || isRowMajor(shape, strides) ? {} : { strides }),
  };
}

function isRowMajor(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis];
  }
  return true;
}

async function checkMagic(source: ByteSource): Promise<void> {
  const start = await readBytes(source, 0, Math.min(2, source.size));
  if (start[0] === 0x50 && start[1] === 0x4b) return;
  fail(
    source,
    start[0] === PICKLE_MAGIC
      ? "it was saved in the format of before PyTorch 1.6: torch.load() and torch.save() it again"
      : "it does not begin as a zip file: another format?",
  );
}

/** A zip's files by their names after the archive's own folder. */
class Archive {
  readonly #source: ByteSource;
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #located = new Map<string, { offset: number; bytes: number }>();

  constructor(source: ByteSource, entries: ReadonlyMap<string, Entry>) {
    this.#source = source;
    this.#entries = entries;
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** Where a file's bytes are. @throws {Error} where it is missing, compressed or cut off. */
  async locate(name: string): Promise<{ offset: number; bytes: number }> {
    const known = this.#located.get(name);
    if (known) return known;
    const entry = this.#entries.get(name);
    if (!entry) return fail(this.#source, `it lacks ${name}: another format?`);
    if (entry.compressionMethod !== STORED || entry.encrypted) {
      fail(this.#source, `its ${name} is compressed, which torch.save() does not do`);
    }
    const bytes = entry.uncompressedSize;
    if (entry.compressedSize !== bytes) {
      fail(this.#source, `its ${name} has ${entry.compressedSize} bytes, not ${bytes}: damaged`);
    }
    const offset = await this.#begin(entry);
    if (offset === undefined) {
      fail(this.#source, `its ${name} is not where the zip's directory says: damaged`);
    }
    if (offset + bytes > this.#source.size) {
      fail(this.#source, `its ${name} ends at byte ${offset + bytes}: truncated`);
    }
    const located = { offset, bytes };
    this.#located.set(name, located);
    return located;
  }

  /** Where a file's bytes begin: behind a header of its own, whose name and extra field may vary. */
  async #begin({ offset }: Entry): Promise<number | undefined> {
    if (offset + LOCAL_HEADER > this.#source.size) return undefined;
    const header = new DataView(
      (await readBytes(this.#source, offset, LOCAL_HEADER)).buffer,
    );
    if (header.getUint32(0, true) !== LOCAL_MAGIC) return undefined;
    return offset + LOCAL_HEADER + header.getUint16(26, true) + header.getUint16(28, true);
  }
}

async function openArchive(source: ByteSource): Promise<Archive> {
  let repeated: string | undefined;
  try {
    const { ZipReader } = await import("@zip.js/zip.js/lib/zip-core-reader.js");
    const begin = Math.max(0, source.size - ZIP_END);
    const end = await readBytes(source, begin, source.size - begin);
    const reader: Pick<Reader<unknown>, "size" | "readUint8Array"> = {
      size: source.size,
      readUint8Array: async (offset, length) =>
        offset >= begin
          ? end.slice(offset - begin, offset - begin + length)
          : await readBytes(source, offset, length),
    };
    const zip = new ZipReader(reader as Reader<unknown>);
    const entries = new Map<string, Entry>();
    for await (const entry of zip.getEntriesGenerator()) {
      const name = entry.filename.slice(entry.filename.indexOf("/") + 1);
      if (entries.has(name)) repeated = name;
      entries.set(name, entry);
    }
    if (repeated === undefined) return new Archive(source, entries);
  } catch (error) {
    return fail(source, "its zip directory cannot be read: truncated or damaged?", error);
  }
  return fail(source, `it holds ${repeated} twice: damaged`);
}

function fail(source: ByteSource, reason: string, cause?: unknown): never {
  throw new Error(`Cannot read ${source.name} as PyTorch's: ${reason}`, { cause });
}
