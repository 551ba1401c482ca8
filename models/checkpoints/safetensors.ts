import { type ByteSource, readBytes } from "./byte_source.ts";
import { isStoredDataType, STORED_BYTES, toFloats } from "./data_types.ts";
import type { TensorLocation } from "./weights.ts";

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

interface HeaderEntry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

interface Header {
  readonly entries: Map<string, Omit<TensorLocation, "source">>;
  readonly metadata: Readonly<Record<string, string>>;
}

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

/** The bytes of a safetensors file of f32 arrays. */
export function writeSafetensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const [name, { shape, data }] of tensors) {
    header[name] = { dtype: "F32", shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const text = JSON.stringify(header);
  const encoded = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
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

function parseHeader(bytes: Uint8Array, size: number, source: string): Header {
  let parsed;
  try {
    parsed = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    fail(source, `its header is no JSON (${(error as Error).message})`);
  }
  const { __metadata__: metadata = {}, ...described } = parsed;
  const start = LENGTH_BYTES + bytes.byteLength;
  const entries = new Map<string, Omit<TensorLocation, "source">>();
  for (const [name, entry] of Object.entries(described) as [string, HeaderEntry][]) {
    const { dtype, shape, data_offsets: offsets } = entry ?? {};
    if (typeof dtype !== "string" || !isExtents(shape) || !isExtents(offsets)) {
      fail(source, `its header does not say where ${name} is`);
    }
    if (!isStoredDataType(dtype)) fail(source, `${name} has the data type ${dtype}`);
    const [from, to] = offsets;
    const expected = shape.reduce((product, extent) => product * extent, STORED_BYTES[dtype]);
    if (to - from !== expected) {
      fail(source, `${name} of shape [${shape}] takes ${expected} bytes, not ${to - from}`);
    }
    if (start + to > size) {
      fail(source, `${name} ends at byte ${start + to} and the file at ${size}: truncated`);
    }
    entries.set(name, { shape, dtype, offset: start + from, bytes: expected });
  }
  return { entries, metadata };
}

function isExtents(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function fail(source: string, reason: string): never {
  throw new Error(`Cannot read ${source} as safetensors: ${reason}`);
}
