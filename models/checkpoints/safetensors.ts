import * as v from "valibot";
import { listOf, type Schema, showNames, TEXT } from "../schema.ts";
import { type ByteSource, readBytes } from "./byte_source.ts";
import { isStoredDataType, STORED_BYTES, toFloats } from "./data_types.ts";
import type { TensorLocation } from "./tensor_location.ts";

/** An array of a safetensors file, before it goes to the GPU. */
export interface StoredTensor {
  /** Row-major extents. */
  readonly shape: readonly number[];
  /** The elements; 16-bit floats are widened, integers converted. */
  readonly data: Float32Array;
}

/** What a safetensors file holds: its arrays by name, and its free text. */
export interface StoredTensors {
  /** The arrays by name. */
  readonly tensors: Map<string, StoredTensor>;
  /** The file's own notes. */
  readonly metadata: Readonly<Record<string, string>>;
}

const EXTENT: Schema<number> = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const ENTRY = v.object({
  dtype: TEXT,
  shape: listOf(EXTENT),
  data_offsets: v.strictTuple([EXTENT, EXTENT]),
});
const NOTES = v.nullish(
  v.pipe(v.unknown(), v.check((notes) => !Array.isArray(notes)), v.record(v.string(), TEXT)),
);

interface Header {
  readonly entries: Map<string, Omit<TensorLocation, "source">>;
  readonly metadata: Readonly<Record<string, string>>;
}

const SPACE = 0x20;
const LENGTH_BYTES = 8;
const HEADER_LIMIT = 100 * 2 ** 20;

/**
 * Reads the bytes of a safetensors file.
 *
 * @param source The file's name, for errors.
 * @throws {Error} where the bytes are truncated or no safetensors file.
 */
export function readSafetensors(bytes: Uint8Array, source: string): StoredTensors {
  const end = headerEnd(bytes, bytes.byteLength, source);
  const header = bytes.subarray(LENGTH_BYTES, end);
  const { entries, metadata } = parseHeader(header, bytes.byteLength, source);
  const tensors = new Map<string, StoredTensor>();
  for (const [name, { shape, dtype, offset, bytes: length }] of entries) {
    tensors.set(name, { shape, data: toFloats(bytes.slice(offset, offset + length), dtype) });
  }
  return { tensors, metadata };
}

/** Finds the tensors of a safetensors file; reads its header alone. @throws as {@linkcode readSafetensors}. */
export async function locateSafetensors(source: ByteSource): Promise<Map<string, TensorLocation>> {
  const start = await readBytes(source, 0, Math.min(LENGTH_BYTES, source.size));
  const end = headerEnd(start, source.size, source.name);
  const header = await readBytes(source, LENGTH_BYTES, end - LENGTH_BYTES);
  const { entries } = parseHeader(header, source.size, source.name);
  return new Map([...entries].map(([name, entry]) => [name, { ...entry, source }]));
}

/** The bytes of a safetensors file of arrays in f32 or f16. */
export function writeSafetensors(
  tensors: ReadonlyMap<
    string,
    Omit<StoredTensor, "data"> & { readonly data: Float32Array | Float16Array }
  >,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const [name, { shape, data }] of tensors) {
    const dtype = data instanceof Float32Array ? "F32" : "F16";
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const encoded = new Uint8Array(Math.ceil(text.byteLength / 8) * 8).fill(SPACE);
  encoded.set(text);
  const bytes = new Uint8Array(LENGTH_BYTES + encoded.byteLength + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(encoded.byteLength), true);
  bytes.set(encoded, LENGTH_BYTES);
  let position = LENGTH_BYTES + encoded.byteLength;
  for (const { data } of tensors.values()) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), position);
    position += data.byteLength;
  }
  return bytes;
}

/** Where the header ends, from the file's first bytes. */
function headerEnd(start: Uint8Array, size: number, source: string): number {
  if (start.byteLength < LENGTH_BYTES) {
    fail(source, `it has ${start.byteLength} bytes, less than its header's length`);
  }
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > HEADER_LIMIT) {
    fail(source, "it does not begin with a header's length: another format?");
  }
  const end = LENGTH_BYTES + length;
  if (end > size) {
    fail(source, `its header ends at byte ${end} and the file at ${size}: truncated`);
  }
  return end;
}

/**
 * As strict as the format's own reader (huggingface/safetensors, `Metadata::validate`): UTF-8, whole
 * numbers that are written as such, and tensors that fill the file from end to end, none over another.
 */
function parseHeader(bytes: Uint8Array, size: number, source: string): Header {
  const { __metadata__: metadata, ...described } = parseJson(bytes, source);
  const notes = v.safeParse(NOTES, metadata);
  if (!notes.success) fail(source, "its __metadata__ must hold texts by name");
  const start = LENGTH_BYTES + bytes.byteLength;
  const entries = new Map<string, Omit<TensorLocation, "source">>();
  for (const [name, entry] of Object.entries(described)) {
    const shown = showNames([name]);
    const parsed = v.safeParse(ENTRY, entry);
    if (!parsed.success) fail(source, `its header does not say where ${shown} is`);
    const { dtype, shape, data_offsets: [from, to] } = parsed.output;
    if (!isStoredDataType(dtype)) {
      fail(source, `${shown} has the data type ${showNames([dtype])}`);
    }
    const expected = shape.reduce((product, extent) => product * extent, STORED_BYTES[dtype]);
    if (to - from !== expected) {
      fail(source, `${shown} of shape [${shape}] takes ${expected} bytes, not ${to - from}`);
    }
    if (start + to > size) {
      fail(source, `${shown} ends at byte ${start + to} and the file at ${size}: truncated`);
    }
    entries.set(name, { shape, dtype, offset: start + from, bytes: expected });
  }
  checkFilled(entries, start, size, source);
  return { entries, metadata: notes.output ?? {} };
}

/** JSON of an object; numbers that are not written as whole ones are NaN, which no schema takes. */
function parseJson(bytes: Uint8Array, source: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    parsed = JSON.parse(
      text,
      (_, value, context?: { source?: string }) =>
        typeof value === "number" && !/^\d+$/.test(context?.source ?? "") ? NaN : value,
    );
  } catch (error) {
    fail(source, `its header is not valid JSON in UTF-8 (${(error as Error).message})`);
  }
  if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) {
    return parsed as Record<string, unknown>;
  }
  return fail(source, "its header is not an object");
}

function checkFilled(
  entries: ReadonlyMap<string, Omit<TensorLocation, "source">>,
  start: number,
  size: number,
  source: string,
): void {
  let end = start;
  const ordered = [...entries].sort(([, a], [, b]) => a.offset - b.offset || a.bytes - b.bytes);
  for (const [name, { offset, bytes }] of ordered) {
    if (offset !== end) {
      fail(
        source,
        `${showNames([name])} begins at byte ${offset}, where the one before it ends at ${end}: ${
          offset < end ? "tensors overlap" : "there is a hole"
        }`,
      );
    }
    end = offset + bytes;
  }
  if (end !== size) fail(source, `its tensors end at byte ${end} and the file at ${size}`);
}

function fail(source: string, reason: string): never {
  throw new Error(`Cannot read ${source} as safetensors: ${reason}`);
}
